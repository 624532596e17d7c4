/* Runs one prompt and prints the answer.
 *
 *   cc hello.c $(pkg-config --cflags --libs magent) -o hello && ./hello
 */
#include <magent/magent.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
  const char *prompt = argc > 1 ? argv[1] : "Write a Python script that prints Hello World and run it";
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  char *answer = NULL;

  int failed = magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, NULL, &agent, &error) < 0 ||
               magent_execute(agent, prompt, &answer, &error) != MAGENT_END_TURN;
  if (failed)
    fprintf(stderr, "hello: %s\n", error.message);
  else
    puts(answer);
  free(answer);
  magent_agent_free(agent);
  magent_close(magent);
  return failed;
}
