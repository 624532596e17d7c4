/* One broken module a time: the make fragment says by macros what is wrong with it. Without any it is a good plugin. */
#include <magent/mbp-llm.h>
#include <magent/mbp.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#ifndef ZOO_NAME
#define ZOO_NAME "good"
#endif
#ifndef ZOO_MAJOR
#define ZOO_MAJOR MBP_ABI_MAJOR
#endif
#ifndef ZOO_SIZE
#define ZOO_SIZE MBP_SIZE(struct mbp_plugin, close)
#endif
#ifndef ZOO_NEEDS
#define ZOO_NEEDS 0
#endif
#ifndef ZOO_KIND
#define ZOO_KIND MBP_KIND_LLM
#endif
#ifndef ZOO_LICENSE
#define ZOO_LICENSE "Apache-2.0"
#endif
#ifndef ZOO_GENERATE
#define ZOO_GENERATE generate
#endif
#ifndef ZOO_TIMEOUT
#define ZOO_TIMEOUT "30s"
#endif
#ifndef ZOO_MODELS
#define ZOO_MODELS "zoo-*"
#endif
#ifndef ZOO_ENTRY
#define ZOO_ENTRY mbp_plugin_v0
#endif
#ifndef ZOO_ANSWER
#define ZOO_ANSWER &plugin.known
#endif

int zoo_dependency(void);
int zoo_nobody_has_this(void);
MBP_EXPORT const struct mbp_plugin *ZOO_ENTRY(void);

__attribute__((unused)) static int generate(struct mbp_instance *instance, struct mbp_call *call,
                                            const struct mbp_llm_request *request, struct mbp_error *err)
{
  (void) instance;
  (void) call;
  (void) request;
  (void) err;
  return -MBP_E_UNSUPPORTED;
}

static int instance_open(const struct mbp_host *host, const struct mbp_config *config,
                         struct mbp_instance **ret_instance, struct mbp_error *err)
{
  (void) host;
  (void) config;
  (void) err;
  *ret_instance = NULL;
#ifdef ZOO_DEPENDENCY
  return zoo_dependency();
#elif defined ZOO_UNRESOLVED
  return zoo_nobody_has_this();
#else
  return 0;
#endif
}

static void instance_close(struct mbp_instance *instance)
{
  (void) instance;
}

static const struct mbp_llm_ops ops = {.size = MBP_SIZE(struct mbp_llm_ops, count_tokens), .generate = ZOO_GENERATE};
static const char *const models[] = {ZOO_MODELS, NULL};
static const struct mbp_llm_info info = {.size = MBP_SIZE(struct mbp_llm_info, models), .models = models};

static const char *const colours[] = {"red", "green", NULL};
static const struct mbp_param timeout = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_DURATION,
    .name = "timeout",
    .default_value = ZOO_TIMEOUT,
    .min = 1000,
    .max = 3600000,
    .help = "How long one request may take, from the moment that it is sent until its last byte has arrived.",
};
static const struct mbp_param key = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_SECRET,
    .flags = MBP_PARAM_REQUIRED,
    .name = "api_key",
    .env = "ZOO_API_KEY",
    .help = "The key.",
};
static const struct mbp_param colour = {
    .size = MBP_SIZE(struct mbp_param, help),
    .type = MBP_PARAM_CHOICE,
    .name = "colour",
    .default_value = "green",
    .choices = colours,
    .help = "Colour of the fur.",
};
static const struct mbp_param *const params[] = {&timeout, &key, &colour, NULL};

/* Some are larger than what the host knows. */
static const struct {
  struct mbp_plugin known;
  uint64_t newer[8];
} plugin = {
    .known =
        {
            .size = ZOO_SIZE,
            .abi_major = ZOO_MAJOR,
            .abi_minor = MBP_ABI_MINOR,
            .needs = ZOO_NEEDS,
            .kind = ZOO_KIND,
            .kind_version = MBP_LLM_VERSION,
            .threads = MBP_THREADS_PARALLEL,
            .name = ZOO_NAME,
            .version = "1.10.0",
            .license = ZOO_LICENSE,
            .origin = "the test suite",
            .summary = "An animal of the zoo",
            .help = "It eats, sleeps and is looked at.\n\nDo not feed it.",
            .params = params,
            .info = &info,
            .ops = &ops,
            .open = instance_open,
            .close = instance_close,
        },
    .newer = {1, 2, 3, 4, 5, 6, 7, 8},
};

const struct mbp_plugin *ZOO_ENTRY(void)
{
#ifdef ZOO_ACT
  ZOO_ACT;
#endif
  (void) plugin;
  return ZOO_ANSWER;
}
