/* A backend of one's own: the model is a plugin that was built outside of magent, here examples/skeleton-plugin.
 *
 *   make -C skeleton-plugin
 *   cc echo.c $(pkg-config --cflags --libs magent) -o echo && ./echo skeleton-plugin "Say this again"
 */
#include <magent/magent.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
  const char *dirs[2] = {argc > 1 ? argv[1] : "skeleton-plugin", NULL};
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  struct magent_options options = {sizeof(options), dirs, NULL, NULL};
  struct magent_config *config = magent_config_new();
  char *answer = NULL;

  magent_config_set(config, "model", "echo/any");
  magent_config_set(config, "tools", "[]");
  int failed = magent_open(&options, &magent, &error) < 0 || magent_agent_new(magent, config, &agent, &error) < 0 ||
               magent_execute(agent, argc > 2 ? argv[2] : "Say this again", &answer, &error) != 0;
  if (failed)
    fprintf(stderr, "echo: %s\n", error.message);
  else
    puts(answer);
  free(answer);
  magent_agent_free(agent);
  magent_close(magent);
  magent_config_free(config);
  return failed;
}
