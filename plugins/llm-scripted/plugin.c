/* A model that plays a script: offline, and always the same. */
#include "play.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct mbp_instance {
  const struct mbp_host *host;
  const struct mbp_json_v1 *json;
  struct script *script; /* NULL: what is built in */
};

static const struct mbp_param param_script = {
    .size = MBP_SIZE(struct mbp_param, help), .type = MBP_PARAM_PATH, .name = "script", .env = "MAGENT_SCRIPT",
    .help = "Script file to play; without one, a small demonstration is built in."};
static const struct mbp_param *const params[] = {&param_script, NULL};

static void instance_close(struct mbp_instance *instance)
{
  if (instance)
    script_free(instance->script);
  free(instance);
}

static int instance_open(const struct mbp_host *host, const struct mbp_config *config,
                         struct mbp_instance **ret_instance, struct mbp_error *err)
{
  struct mbp_instance *self = calloc(1, sizeof(*self));
  struct mbp_str path = {0};
  if (!self)
    return llm_no_memory(err);
  self->host = host;
  self->json = host->get_interface(host->ctx, MBP_JSON_V1);
  int r = self->json ? 0 : llm_error(err, MBP_E_UNAVAILABLE, "this host lacks " MBP_JSON_V1);
  if (r == 0 && host->config_str(config, "script", &path) && path.len)
    r = script_load(self->json, path.ptr, &self->script, err);
  if (r < 0) {
    instance_close(self);
    return r;
  }
  *ret_instance = self;
  return 0;
}

/* Sleeps, unless the call is cancelled. */
static int wait_in_call(void *ctx, int64_t ms)
{
  const struct llm_call *to = ctx;
  int64_t end = to->host->clock_ms(to->host->ctx, MBP_CLOCK_MONOTONIC) + ms;
  struct pollfd fd = {.fd = to->host->cancel_fd(to->call), .events = POLLIN};
  while (ms > 0) {
    int n = poll(&fd, 1, ms > 60000 ? 60000 : (int) ms);
    if (n > 0 || (n < 0 && errno != EINTR) || to->host->cancelled(to->call))
      return -1;
    ms = end - to->host->clock_ms(to->host->ctx, MBP_CLOCK_MONOTONIC);
  }
  return 0;
}

static int64_t estimate_input(const struct mbp_llm_request *request)
{
  size_t bytes = request->system.len;
  for (size_t i = 0; i < request->n_messages; i++)
    bytes += request->messages[i].content.len;
  for (size_t i = 0; i < request->n_tools; i++)
    bytes += request->tools[i].description.len + request->tools[i].input_schema.len;
  return (int64_t) bytes / 4;
}

/* The models scripted-... are built in, whatever script is configured. */
static int is_builtin_name(struct mbp_str model)
{
  return mbp_str_eq(model, "scripted-echo") || mbp_str_eq(model, "scripted-endless") ||
         mbp_str_eq(model, "scripted-error");
}

static int choose(const struct mbp_instance *self, const struct mbp_llm_request *request, const struct view *view,
                  struct script_reply **ret_reply, struct mbp_error *err)
{
  struct script_reply *reply = NULL;
  if (self->script && !is_builtin_name(request->model)) {
    reply = script_choose(self->script, llm_buf_view(&view->user), view->assistants, view->in_turn);
    if (!reply)
      return llm_error(err, MBP_E_NOT_FOUND,
                       "the script has no reply for request %zu of the session: add one, or set \"loop\": true",
                       view->assistants + 1);
  }
  *ret_reply = reply;
  return 0;
}

static int generate(struct mbp_instance *self, struct mbp_call *call, const struct mbp_llm_request *request,
                    struct mbp_error *err)
{
  struct llm_call to = {self->host, call};
  struct view view = {0};
  struct script_reply *reply = NULL;
  struct mbp_error failed = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_usage usage = {.size = MBP_SIZE(struct mbp_usage, cache_write), .input = estimate_input(request)};
  struct mbp_llm_response response;
  int r = view_read(self->json, request, &view, err);
  if (r == 0)
    r = choose(self, request, &view, &reply, err);
  if (r == 0) {
    struct play play = {.json = self->json, .out = {llm_emit_to_call, &to}, .wait = wait_in_call, .wait_ctx = &to,
                        .assistants = view.assistants};
    int played = reply ? play_reply(&play, reply, &view, &failed) : play_builtin(&play, request, &view, &failed);
    if (played == 0)
      played = play_response(&play, reply, &usage, &response, &failed);
    if (played == 0 && response.model.len == 0)
      response.model = request->model;
    (void) llm_done(self->host, call, played, &response, &failed);
    play_done(&play);
  }
  view_done(&view);
  return r;
}

static int list_models(struct mbp_instance *self, struct mbp_call *call, struct mbp_error *err)
{
  static const char *const names[] = {"scripted", "scripted-echo", "scripted-endless", "scripted-error"};
  (void) err;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    struct mbp_event event = {
        .size = MBP_SIZE(struct mbp_event, data), .type = MBP_EV_LLM_MODEL, .name = mbp_str(names[i])};
    if (self->host->emit(call, &event) < 0)
      break;
  }
  return llm_done(self->host, call, 0, NULL, NULL);
}

static const char *const models[] = {"scripted", "scripted-*", NULL};
static const struct mbp_llm_info info = {.size = MBP_SIZE(struct mbp_llm_info, models), .models = models};
static const struct mbp_llm_ops ops = {
    .size = MBP_SIZE(struct mbp_llm_ops, list_models),
    .generate = generate,
    .list_models = list_models,
};
static const struct mbp_plugin plugin = {
    .size = MBP_SIZE(struct mbp_plugin, close),
    .abi_major = MBP_ABI_MAJOR,
    .abi_minor = MBP_ABI_MINOR,
    .caps = MBP_CAP_LLM_OFFLINE | MBP_CAP_LLM_IMAGES | MBP_CAP_LLM_RESULT_IMAGES,
    .kind = MBP_KIND_LLM,
    .kind_version = MBP_LLM_VERSION,
    .threads = MBP_THREADS_PARALLEL,
    .name = "scripted",
    .version = PACKAGE_VERSION,
    .license = "Apache-2.0",
    .origin = "magent",
    .summary = "A scripted stand-in for a model, offline",
    .help = "Plays a script file (option script, or MAGENT_SCRIPT), or a demonstration that is built in: it writes a "
            "Python "
            "script and runs it. Also built in: scripted-echo, scripted-endless, scripted-error.",
    .params = params,
    .info = &info,
    .ops = &ops,
    .open = instance_open,
    .close = instance_close,
};
MBP_PLUGIN(plugin);
