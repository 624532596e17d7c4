/* Every compute plugin that the suite holds for. */
#include "rig.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <unistd.h>

static const struct provider of_this_machine[] = {
#ifdef TEST_BUBBLEWRAP
    {.name = "bubblewrap", .config = "{\"helper\":\"%HELPER%\"}", .network = MBP_NET_NONE},
#endif
#ifdef TEST_LOCAL
    {.name = "local", .config = "{\"helper\":\"%HELPER%\"}", .network = MBP_NET_HOST},
#endif
    {0},
};

/* Only with an engine, which ./check --with-docker and scripts/docker-engine start; then it is the only one. */
static const struct provider of_an_engine[] = {
    {.name = "docker",
     .config = "{\"helper\":\"%HELPER%\",\"host\":\"%DOCKER%\",\"image\":\"%IMAGE%\"}",
     .network = MBP_NET_NONE,
     .engine = true,
     .start_ms = 3000},
};

const struct provider *providers = of_this_machine;
size_t n_providers = MAG_COUNT(of_this_machine) - 1;

void providers_choose(void)
{
  if (!secure_getenv("MAGENT_TEST_DOCKER"))
    return;
  providers = of_an_engine;
  n_providers = access(TEST_BUILDDIR "/plugins/compute-docker/.libs/magent-compute-docker.so", R_OK) == 0;
}
