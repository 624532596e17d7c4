/* Every compute plugin that the suite holds for. */
#include "rig.h"

#include "base/cleanup.h"

const struct provider providers[] = {
#ifdef TEST_BUBBLEWRAP
    {"bubblewrap", "{\"helper\":\"%HELPER%\"}", MBP_NET_NONE, false},
#endif
#ifdef TEST_LOCAL
    {"local", "{\"helper\":\"%HELPER%\"}", MBP_NET_HOST, true},
#endif
    {0},
};

const size_t n_providers = MAG_COUNT(providers) - 1;
