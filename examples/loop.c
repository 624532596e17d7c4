/* An agent in a program that has an event loop of its own: the turn is one descriptor among others. What is
 * typed is said to the agent when it is idle; Ctrl-C interrupts a turn, and ends the program between turns.
 *
 *   cc loop.c $(pkg-config --cflags --libs magent) -o loop && ./loop
 */
#include <magent/magent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int interrupt_fd = -1;
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
  (void) number;
  stopped = 1;
  if (interrupt_fd >= 0 && write(interrupt_fd, "", 1) < 0)
    return; /* it is full of interrupts */
}

/* Shows what there is, without waiting. 1: the turn goes on. */
static int show(struct magent_stream *stream)
{
  const struct magent_event *event;
  int r;
  while ((r = magent_stream_next(stream, 0, &event, NULL)) == 1)
    if (event->kind == MAGENT_TEXT)
      fputs(event->text, stdout);
  fflush(stdout);
  return r == -MBP_E_TIMEOUT;
}

int main(void)
{
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_stream *stream = NULL;
  struct magent_error error;
  struct sigaction action;
  char line[4096];

  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  if (magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, NULL, &agent, &error) < 0 ||
      (interrupt_fd = magent_interrupt_fd(agent, &error)) < 0) {
    fprintf(stderr, "loop: %s\n", error.message);
    magent_agent_free(agent);
    magent_close(magent);
    return 1;
  }
  for (;;) {
    struct pollfd fds[2];
    fds[0].fd = stream ? -1 : STDIN_FILENO; /* what is typed meanwhile waits */
    fds[1].fd = stream ? magent_stream_fd(stream) : -1;
    fds[0].events = fds[1].events = POLLIN;
    if (poll(fds, 2, -1) < 0 && stopped && !stream)
      break;
    if (stream && !show(stream)) {
      if (magent_stream_close(stream, &error) != MAGENT_END_TURN)
        fprintf(stderr, "[%s]", error.message);
      stream = NULL;
      stopped = 0;
      putchar('\n');
    }
    if (!stream && fds[0].revents) {
      ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
      if (n <= 0)
        break;
      line[n] = 0;
      if (magent_stream_open(agent, line, &stream, &error) < 0)
        fprintf(stderr, "loop: %s\n", error.message);
    }
  }
  magent_agent_free(agent);
  magent_close(magent);
  return 0;
}
