/* An agent with a configuration, and its answer as it comes.
 *
 *   cc analyst.c $(pkg-config --cflags --libs magent) -o analyst && ./analyst "Analyze this data: [1,2,3,4,5]"
 *
 * With a second argument, the model: ./analyst PROMPT anthropic/claude-sonnet-4-6
 */
#include <magent/magent.h>
#include <stdio.h>
#include <string.h>

static int show(void *ctx, const struct magent_event *event)
{
  (void) ctx;
  switch (event->kind) {
  case MAGENT_TEXT:
    fputs(event->text, stdout);
    fflush(stdout);
    break;
  case MAGENT_TOOL_OUTPUT:
    fwrite(event->text, 1, event->text_len, stderr);
    break;
  case MAGENT_EVENT:
    if (strcmp(event->type, "agent.tool_use") == 0)
      fprintf(stderr, "\n[%s]\n", event->tool);
    else if (strcmp(event->type, "agent.message") == 0)
      putchar('\n');
    break;
  default:
    break;
  }
  return 0;
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  struct magent_config *config = magent_config_new();

  magent_config_set(config, "name", "MyAgent");
  magent_config_set(config, "system", "You are a helpful assistant. Be concise.");
  magent_config_set(config, "tools", "[{type: agent_toolset_20260401, configs: [{name: web_fetch, enabled: false}]}]");
  magent_config_set(config, "compute.memory", "512M");
  if (argc > 2)
    magent_config_set(config, "model", argv[2]);

  int failed = magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, config, &agent, &error) < 0 ||
               magent_stream(agent, argc > 1 ? argv[1] : "Analyze this data: [1,2,3,4,5]", show, NULL, &error) != 0;
  if (failed)
    fprintf(stderr, "analyst: %s\n", error.message);
  magent_agent_free(agent);
  magent_close(magent);
  magent_config_free(config);
  return failed;
}
