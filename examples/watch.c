/* What is said in a session that another program runs, and a word to it.
 *
 *   cc watch.c $(pkg-config --cflags --libs magent) -o watch
 *   magent run "Write a long story" &
 *   ./watch sesn_...                     shows what was said, and what is being said
 *   ./watch sesn_... "Make it a short one"
 */
#include <magent/magent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int show(void *ctx, const struct magent_event *event)
{
  (void) ctx;
  if (strcmp(event->type, "user.message") == 0)
    printf("> %s\n", event->text);
  else if (strcmp(event->type, "agent.message") == 0)
    printf("%s\n", event->text);
  else if (strcmp(event->type, "agent.tool_use") == 0)
    printf("(%s)\n", event->tool);
  return 0;
}

/* 1 while a turn runs, in whichever process. */
static int is_running(struct magent *magent, const char *session, struct magent_error *error)
{
  struct magent_session_info *info = NULL;
  int r = magent_get_session(magent, session, &info, error);
  if (r == 0)
    r = strcmp(info->status, "running") == 0;
  free(info);
  return r;
}

static int watch(struct magent *magent, const char *session, struct magent_error *error)
{
  uint64_t from, next = 1;
  int running, r;
  do {
    running = is_running(magent, session, error); /* before the look: so the look sees how it ended */
    if (running < 0)
      return running;
    do
      r = magent_read_events(magent, session, from = next, 0, show, NULL, &next, error);
    while (r == 0 && next > from);
    if (r == 0 && running)
      poll(NULL, 0, 200);
  } while (r == 0 && running);
  return r;
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_error error;
  int running = 0;

  if (argc != 2 && argc != 3) {
    fputs("Usage: watch SESSION [TEXT]\n", stderr);
    return 2;
  }
  int failed = magent_open(NULL, &magent, &error) < 0 ||
               (argc == 3 && magent_send(magent, argv[1], argv[2], MAGENT_STEER, NULL, &running, &error) < 0) ||
               watch(magent, argv[1], &error) < 0;
  if (failed)
    fprintf(stderr, "watch: %s\n", error.message);
  else if (argc == 3 && !running)
    fputs("watch: nobody runs it now; what you said begins its next turn\n", stderr);
  magent_close(magent);
  return failed;
}
