/* magent-sandbox: the one program that magent brings into a sandbox. */
#include "sandbox/modes.h"
#include "sandbox/tool.h"

#include <stdio.h>
#include <string.h>

#ifdef MAGENT_SANITIZED
/* Looking for leaks needs ptrace, which a sandbox refuses. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
  return "detect_leaks=0";
}
#endif

static const struct {
  const char *name;
  mag_tool_main run;
} modes[] = {
    {"init", mag_sandbox_init},
    {"serve", mag_sandbox_serve},
    {"connect", mag_sandbox_connect},
    {"put", mag_sandbox_put},
    {"get", mag_sandbox_get},
};

int main(int argc, char **argv)
{
  mag_tool_main run = argc > 1 ? mag_tool_find(argv[1]) : NULL;
  for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
    if (strcmp(argv[1], modes[i].name) == 0)
      run = modes[i].run;
  if (run)
    return run(argc - 1, argv + 1);
  (void) fprintf(stderr, "magent-sandbox: works inside magent's sandboxes; it is not meant to be run by hand\n");
  return 2;
}
