/* A session that is begun in one process and gone on with in another.
 *
 *   cc remember.c $(pkg-config --cflags --libs magent) -o remember
 *   ./remember save ids.json "Remember: my favorite color is blue"
 *   ./remember resume ids.json "What is my favorite color?"
 */
#include <magent/magent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int save(struct magent_agent *agent, const char *path, const char *prompt, char **answer,
                struct magent_error *error)
{
  struct magent_ids ids;
  int r = magent_execute(agent, prompt, answer, error);
  if (r == 0)
    r = magent_save_ids(agent, &ids, error);
  return r == 0 ? magent_ids_write(&ids, path, error) : r;
}

static int resume(struct magent_agent *agent, const char *path, const char *prompt, char **answer,
                  struct magent_error *error)
{
  struct magent_ids ids;
  int r = magent_ids_read(path, &ids, error);
  if (r == 0)
    r = magent_restore_ids(agent, &ids, error);
  return r == 0 ? magent_execute(agent, prompt, answer, error) : r;
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  char *answer = NULL;
  int saving = argc == 4 && strcmp(argv[1], "save") == 0;

  if (!saving && !(argc == 4 && strcmp(argv[1], "resume") == 0)) {
    fputs("Usage: remember save|resume FILE PROMPT\n", stderr);
    return 2;
  }
  int failed = magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, NULL, &agent, &error) < 0 ||
               (saving ? save : resume)(agent, argv[2], argv[3], &answer, &error) != 0;
  if (failed)
    fprintf(stderr, "remember: %s\n", error.message);
  else
    puts(answer);
  free(answer);
  magent_agent_free(agent);
  magent_close(magent);
  return failed;
}
