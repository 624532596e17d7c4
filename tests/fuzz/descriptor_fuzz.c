/* Negotiation with descriptors that nobody would write.
 *
 * The input is a list of edits to a good descriptor: one byte says which member, the next ones its value. Every struct
 * is put into a block of exactly the size that it claims (4 bytes if that is absurd), so that a sanitizer sees a read
 * beyond it. What passes must describe itself as valid JSON; what does not must say why.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "loader/check.h"
#include "loader/inspect.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PARAMS 4

struct input {
  const uint8_t *at;
  size_t left;
};

/* All that is allocated for one input. */
struct made {
  void *blocks[64];
  size_t n;
};

static int64_t number(struct input *in, size_t bytes)
{
  uint64_t value = 0;
  for (size_t i = 0; i < bytes && in->left; i++, in->at++, in->left--)
    value |= (uint64_t) *in->at << (8 * i);
  return (int64_t) value;
}

static void *keep(struct made *made, void *block)
{
  if (!block || made->n == MAG_COUNT(made->blocks))
    abort();
  made->blocks[made->n++] = block;
  return block;
}

/* A length (255: NULL) and so many bytes, in a block of their own. */
static const char *string(struct input *in, struct made *made)
{
  size_t n = (size_t) number(in, 1);
  if (n == 255 || made->n > MAG_COUNT(made->blocks) - 16)
    return NULL;
  n = MAG_MIN(n, in->left);
  char *text = keep(made, malloc(n + 1));
  if (n)
    memcpy(text, in->at, n);
  text[n] = 0;
  in->at += n;
  in->left -= n;
  return text;
}

/* The struct in a block of the size that it claims; what it claims beyond its real end is zero. */
static const void *exact(struct made *made, const void *thing, size_t real)
{
  uint32_t claimed;
  memcpy(&claimed, thing, sizeof(claimed));
  size_t n = claimed < sizeof(claimed) || claimed > MAG_STRUCT_MAX ? sizeof(claimed) : claimed;
  void *block = keep(made, calloc(1, n));
  memcpy(block, thing, MAG_MIN(n, real));
  return block;
}

static int a_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                  struct mbp_error *err)
{
  (void) host;
  (void) config;
  (void) ret_instance;
  (void) err;
  return 0;
}
static void a_close(struct mbp_instance *instance)
{
  (void) instance;
}

struct edited {
  struct mbp_plugin plugin;
  uint64_t ops[64]; /* size, reserved and function pointers of any kind: only compared with NULL */
  uint64_t info[4];
  struct mbp_param params[PARAMS];
  const char *models[3], *choices[3];
  size_t n_params;
};

static void start(struct edited *e)
{
  static const char help[] = "Help.";
  memset(e, 0, sizeof(*e));
  e->plugin = (struct mbp_plugin){
      .size = MBP_SIZE(struct mbp_plugin, close),
      .abi_major = MBP_ABI_MAJOR,
      .abi_minor = MBP_ABI_MINOR,
      .kind = MBP_KIND_LLM,
      .kind_version = 1,
      .threads = MBP_THREADS_PARALLEL,
      .name = "x",
      .version = "1",
      .license = "MIT",
      .origin = "here",
      .summary = "A plugin",
      .open = a_open,
      .close = a_close,
  };
  for (size_t i = 1; i < MAG_COUNT(e->ops); i++)
    e->ops[i] = (uint64_t) (uintptr_t) help;
  e->ops[0] = sizeof(e->ops);
  e->info[0] = 16;
  for (size_t i = 0; i < PARAMS; i++)
    e->params[i] = (struct mbp_param){
        .size = MBP_SIZE(struct mbp_param, help), .type = MBP_PARAM_STRING, .name = i ? "b" : "a", .help = help};
}

static void edit_param(struct edited *e, struct input *in, struct made *made)
{
  uint8_t which = (uint8_t) number(in, 1);
  struct mbp_param *p = &e->params[which / 16 % PARAMS];
  e->n_params = MAG_MAX(e->n_params, (size_t) (which / 16 % PARAMS) + 1);
  switch (which % 16) {
  case 0:
    p->size = (uint32_t) number(in, 4);
    break;
  case 1:
    p->type = (uint32_t) number(in, 1);
    break;
  case 2:
    p->flags = (uint32_t) number(in, 4);
    break;
  case 3:
    p->name = string(in, made);
    break;
  case 4:
    p->default_value = string(in, made);
    break;
  case 5:
    p->choices = e->choices;
    break;
  case 6:
    p->min = number(in, 8);
    break;
  case 7:
    p->max = number(in, 8);
    break;
  case 8:
    p->env = string(in, made);
    break;
  case 9:
    p->help = string(in, made);
    break;
  default:
    break;
  }
}

static void edit(struct edited *e, struct input *in, struct made *made)
{
  struct mbp_plugin *p = &e->plugin;
  switch (number(in, 1) % 25) {
  case 0:
    p->size = (uint32_t) number(in, 4);
    break;
  case 1:
    p->abi_major = (uint16_t) number(in, 2);
    break;
  case 2:
    p->abi_minor = (uint16_t) number(in, 2);
    break;
  case 3:
    p->needs = (uint64_t) number(in, 8);
    break;
  case 4:
    p->caps = (uint64_t) number(in, 8);
    break;
  case 5:
    p->kind = (uint32_t) number(in, 1);
    break;
  case 6:
    p->kind_version = (uint32_t) number(in, 4);
    break;
  case 7:
    p->threads = (uint32_t) number(in, 4);
    break;
  case 8:
    p->name = string(in, made);
    break;
  case 9:
    p->version = string(in, made);
    break;
  case 10:
    p->license = string(in, made);
    break;
  case 11:
    p->origin = string(in, made);
    break;
  case 12:
    p->summary = string(in, made);
    break;
  case 13:
    p->help = string(in, made);
    break;
  case 14:
    p->open = NULL;
    break;
  case 15:
    p->close = NULL;
    break;
  case 16:
    e->ops[0] = (uint64_t) number(in, 4);
    break;
  case 17:
    e->ops[1 + (uint8_t) number(in, 1) % 63] = 0;
    break;
  case 18:
    e->info[0] = (uint64_t) number(in, 8);
    break;
  case 19:
    e->info[1] = (uint64_t) number(in, 8);
    break; /* models and type are pointers: see below */
  case 20:
    e->models[(size_t) number(in, 1) % 2] = string(in, made);
    break;
  case 21:
    e->choices[(size_t) number(in, 1) % 2] = string(in, made);
    break;
  default:
    edit_param(e, in, made);
    break;
  }
}

static void assemble(struct edited *e, struct made *made, const struct mbp_param **params)
{
  for (size_t i = 0; i < e->n_params; i++)
    params[i] = exact(made, &e->params[i], sizeof(e->params[i]));
  if (e->n_params)
    e->plugin.params = params;
  if (e->plugin.kind == MBP_KIND_LLM)
    e->info[1] = (uint64_t) (uintptr_t) e->models;
  else if (e->plugin.kind == MBP_KIND_TOOLSET)
    e->info[1] = (uint64_t) (uintptr_t) e->models[0];
  e->plugin.ops = exact(made, e->ops, sizeof(e->ops));
  e->plugin.info = exact(made, e->info, sizeof(e->info));
}

static void check(const struct mbp_plugin *given, const char *file_name)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_plugin *plugin = NULL;
  int r = mag_plugin_check(given, "/p/magent-llm-x.so", file_name, &plugin, &err);
  if ((r == 0) != (plugin != NULL) || (r != 0 && strncmp(err.message, "/p/magent-llm-x.so: ", 20) != 0))
    abort();
  if (r == 0) {
    mag_autowriter writer = mag_writer_new();
    struct mbp_str text;
    mag_writer_object(writer, NULL);
    mag_plugin_describe(plugin, writer);
    mag_writer_end(writer);
    if (mag_writer_text(writer, &text) < 0 || mag_json_check(text, NULL) < 0 || plugin->param_list[plugin->n_params])
      abort();
  }
  mag_plugin_free(plugin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input in = {data, size};
  struct made made = {.n = 0};
  struct edited e;
  const struct mbp_param *params[PARAMS + 1] = {NULL};
  start(&e);
  while (in.left)
    edit(&e, &in, &made);
  assemble(&e, &made, params);
  const void *given = exact(&made, &e.plugin, sizeof(e.plugin));
  check(given, NULL);
  check(given, "magent-llm-x.so");
  while (made.n)
    free(made.blocks[--made.n]);
  return 0;
}
