/* Runs one prompt and prints the answer as it comes.
 *
 *   cc run.c $(pkg-config --cflags --libs magent) -o run && ./run "Write a Python script that prints Hello World and
 * run it"
 */
#include <magent/magent.h>
#include <stdio.h>

static void show_text(void *ctx, const char *text, size_t len)
{
  (void) ctx;
  fwrite(text, 1, len, stdout);
  fflush(stdout);
}

static void show_output(void *ctx, const char *tool, const char *text, size_t len)
{
  (void) ctx;
  fprintf(stderr, "[%s] %.*s", tool, (int) len, text);
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_session *session = NULL;
  struct magent_outcome outcome;
  struct magent_error error;
  struct magent_callbacks callbacks = {.size = sizeof(callbacks), .text = show_text, .tool_output = show_output};
  const char *prompt = argc > 1 ? argv[1] : "Write a Python script that prints Hello World and run it";

  int r = magent_open(NULL, &magent, &error);
  if (r == 0)
    r = magent_session_create(magent, "system: Be concise.", NULL, &session, &error);
  if (r == 0)
    r = magent_session_run(session, prompt, &callbacks, NULL, &outcome, &error);
  if (r < 0)
    fprintf(stderr, "run: %s\n", error.message);
  else if (outcome.ending != MAGENT_END_TURN)
    fprintf(stderr, "run: %s\n", outcome.error.message);
  else
    putchar('\n');
  magent_session_close(session);
  magent_close(magent);
  return r < 0 || outcome.ending != MAGENT_END_TURN;
}
