/* Opens a context with the plugins of the build tree, for the examples: they are compiled with
 * -Dmagent_open=in_tree_open, and find their plugins where they are installed otherwise. */
#include <magent/magent.h>
#include <stdlib.h>

int in_tree_open(const struct magent_options *options, struct magent **ret_magent, struct magent_error *error);

int in_tree_open(const struct magent_options *options, struct magent **ret_magent, struct magent_error *error)
{
  const char *build = secure_getenv("MAGENT_BUILD_PLUGINS");
  const char *dirs[3] = {build ? build : "plugins-0", NULL, NULL};
  struct magent_options with = {.size = sizeof(with)};
  if (options)
    with = *options;
  if (options && options->plugin_dirs)
    dirs[1] = options->plugin_dirs[0];
  with.plugin_dirs = dirs;
  return magent_open(&with, ret_magent, error);
}
