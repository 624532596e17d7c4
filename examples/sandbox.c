/* The sandbox of an agent without a model: a file goes in, a command runs, a file comes out.
 *
 *   cc sandbox.c $(pkg-config --cflags --libs magent) -o sandbox && ./sandbox FILE
 */
#include <magent/magent.h>
#include <stdio.h>
#include <stdlib.h>

static int count(struct magent_agent *agent, const char *path, struct magent_error *error)
{
  struct magent_command_result *result = NULL;
  struct magent_compute_info *info = NULL;
  int r = magent_compute_upload(agent, path, "input", error);
  if (r == 0)
    r = magent_compute_execute(agent, "wc -l < input | tee count", 30000, &result, error);
  if (r == 0)
    r = magent_compute_status(agent, &info, error);
  if (r == 0) {
    printf("%s, network %s: exit %d, %s%s", info->provider, info->network, (int) result->exit_code, result->output,
           result->errors);
    r = magent_compute_download(agent, "count", "count.txt", error);
  }
  if (r == 0)
    r = magent_compute_shutdown(agent, error);
  free(result);
  free(info);
  return r;
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  int failed = magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, NULL, &agent, &error) < 0 ||
               count(agent, argc > 1 ? argv[1] : "/etc/passwd", &error) < 0;
  if (failed)
    fprintf(stderr, "sandbox: %s\n", error.message);
  magent_agent_free(agent);
  magent_close(magent);
  return failed;
}
