/* The smallest plugin: a model that answers with what it was told. Start your own from here. */
#include <magent/mbp-llm.h>
#include <stdlib.h>

struct mbp_instance { const struct mbp_host *host; };

static int echo_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                     struct mbp_error *err)
{
  (void) config;
  if (!(*ret_instance = calloc(1, sizeof(**ret_instance))))
    return -(err->code = MBP_E_NO_MEMORY);
  (*ret_instance)->host = host;
  return 0;
}

static void echo_close(struct mbp_instance *self) { free(self); }

static int echo_generate(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                         struct mbp_error *err)
{
  struct mbp_llm_response response = {.size = MBP_SIZE(struct mbp_llm_response, usage), .stop = MBP_STOP_END_TURN};
  (void) err;
  response.content = request->messages[request->n_messages - 1].content; /* JSON array of text blocks */
  self->host->done(call, &response, NULL);
  return 0;
}

static const struct mbp_llm_ops ops = {.size = MBP_SIZE(struct mbp_llm_ops, count_tokens), .generate = echo_generate};

static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close), .abi_major = MBP_ABI_MAJOR, .abi_minor = MBP_ABI_MINOR,
    .kind = MBP_KIND_LLM, .kind_version = MBP_LLM_VERSION, .threads = MBP_THREADS_PARALLEL,
    .name = "echo", .version = "1.0", .license = "Apache-2.0", .origin = "an example of magent",
    .summary = "Answers with what it was told", .ops = &ops, .open = echo_open, .close = echo_close,
};
MBP_PLUGIN(plugin);
