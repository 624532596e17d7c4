#include "cli.h"
#include "options.h"
#include "render.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <magent/mbp-compute.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: magent compute ps [--provider NAME] [--json]\n"
    "       magent compute stop ID... | --all [--provider NAME] [--json]\n"
    "\n"
    "Sandboxes that outlive the process that made them, whichever process that was.\n"
    "\n"
    "  ps               lists them, oldest first\n"
    "  stop             removes them with all that runs in them; ID is an id, a beginning of one, or a key\n"
    "\n"
    "  --all            all that ps lists\n"
    "  --provider NAME  ask only this compute provider\n"
    "  --json           one JSON object a line\n"
    "\n"
    "A provider that fails is named on standard error, and the exit status is 1: the list is not whole then. One that\n"
    "is not available here is left out with a line there, unless --provider names it.\n";

#define LIST_MS 30000
#define STOP_MS 60000
#define PREFIX_MIN 4 /* shorter beginnings of an id are more likely a slip */

/* One sandbox of a provider; the texts are ours. */
struct box {
  struct mag_instance *provider;
  char *id, *key, *session, *limits;
  int64_t created_ms;
  uint32_t state, network;
  bool chosen;
};

struct boxes {
  struct mag_engine *engine;
  struct mag_instance *asked; /* while it lists */
  struct box *items;
  size_t n, failed; /* failed: providers that could not be asked */
};

struct arguments {
  const char *provider;
  char **ids;
  size_t n_ids;
  bool all, json;
};

static void boxes_done(struct boxes *boxes)
{
  for (size_t i = 0; i < boxes->n; i++) {
    free(boxes->items[i].id);
    free(boxes->items[i].key);
    free(boxes->items[i].session);
    free(boxes->items[i].limits);
  }
  free(boxes->items);
}

/* ---- Asking the providers --------------------------------------------------------------------------------------- */

static int add_box(void *ctx, const struct mbp_event *event)
{
  struct boxes *boxes = ctx;
  struct mbp_sandbox_info info = {0};
  if (event->type != MBP_EV_SANDBOX || event->data.len < sizeof(info.size))
    return 0;
  memcpy(&info, event->data.ptr, MAG_MIN(event->data.len, sizeof(info)));
  struct box *items = reallocarray(boxes->items, boxes->n + 1, sizeof(*items));
  if (!items)
    return -MBP_E_NO_MEMORY;
  boxes->items = items;
  struct box *box = &items[boxes->n];
  *box = (struct box){.provider = boxes->asked,
                      .id = mag_str_dup(info.id),
                      .key = mag_str_dup(info.key),
                      .session = mag_str_dup(info.session),
                      .limits = mag_str_dup(info.limits),
                      .created_ms = info.created_ms,
                      .state = info.state,
                      .network = info.network};
  boxes->n++;
  return box->id && box->key && box->session && box->limits ? 0 : -MBP_E_NO_MEMORY;
}

/* Named first, so that it is known whose trouble it is; what happened while it was opened says so already. */
static int fail_of(const char *provider, struct mbp_error *err)
{
  size_t len = strlen(provider);
  if (strncmp(err->message, provider, len) != 0 || err->message[len] != ':')
    mag_error_wrap(err, "%s", provider);
  return cli_fail(err);
}

/* `named`: asked for by the user, and not because it is there. */
static void ask(struct boxes *boxes, const char *name, bool named)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *found;
  int r = mag_registry_find(mag_engine_registry(boxes->engine), MBP_KIND_COMPUTE, name, &found, &err);
  /* The sandboxes of the others end with their processes: there is nothing to be seen from outside. */
  if (r == 0 && !named && !(found->descriptor.caps & MBP_CAP_COMPUTE_OUTLIVES))
    return;
  if (r == 0)
    r = mag_engine_compute(boxes->engine, name, mbp_str(""), &boxes->asked, &err);
  if (r == 0) {
    const struct mbp_compute_ops *ops = mag_instance_ops(boxes->asked);
    struct mag_call_options options = {.timeout_ms = LIST_MS, .sink = add_box, .ctx = boxes};
    r = MAG_RUN(boxes->asked, &options, &err, ops->list(plugin, call, &err));
  }
  if (r == -MBP_E_UNAVAILABLE && !named) { /* not set up here, so nothing of it is either */
    fputs("magent: ", stderr);
    render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(name));
    fputs(": not asked: ", stderr);
    render_put_line(stderr, isatty(STDERR_FILENO), mbp_str(err.message));
    fputc('\n', stderr);
  } else if (r < 0) {
    (void) (r == -MBP_E_NOT_FOUND ? cli_fail(&err) : fail_of(name, &err)); /* that names it already */
    boxes->failed++;
  }
}

static int ask_candidate(void *ctx, const struct mag_candidate *candidate)
{
  if (candidate->kind == MBP_KIND_COMPUTE)
    ask(ctx, candidate->name, false);
  return 0;
}

static int by_age(const void *a, const void *b)
{
  const struct box *x = a, *y = b;
  return x->created_ms != y->created_ms ? (x->created_ms > y->created_ms) - (x->created_ms < y->created_ms)
                                        : strcmp(x->id, y->id);
}

static void boxes_read(struct boxes *boxes, const char *provider)
{
  if (provider)
    ask(boxes, provider, true);
  else
    (void) mag_registry_each(mag_engine_registry(boxes->engine), ask_candidate, boxes);
  if (boxes->n)
    qsort(boxes->items, boxes->n, sizeof(*boxes->items), by_age);
}

/* ---- ps --------------------------------------------------------------------------------------------------------- */

static const char *provider_name(const struct box *box)
{
  return mag_instance_descriptor(box->provider)->name;
}

static const char *state_name(uint32_t state)
{
  static const char *const names[] = {"unknown", "starting", "running", "suspended", "stopped"};
  return names[state < MAG_COUNT(names) ? state : 0];
}

static const char *network_name(uint32_t network)
{
  static const struct {
    uint32_t bit;
    const char *name;
  } networks[] = {{MBP_NET_NONE, "none"},
                  {MBP_NET_LIMITED, "limited"},
                  {MBP_NET_UNRESTRICTED, "unrestricted"},
                  {MBP_NET_HOST, "host"},
                  {MBP_NET_PROVIDER, "provider"}};
  for (size_t i = 0; i < MAG_COUNT(networks); i++)
    if (networks[i].bit == network)
      return networks[i].name;
  return "unknown";
}

/* "42s", "5m", "3h7m", "12d4h"; "-" if nobody knows. */
static const char *uptime(const struct box *box, char text[32])
{
  long long seconds = (mag_clock_wall_ms() - box->created_ms) / 1000;
  if (seconds < 0)
    seconds = 0; /* another machine's clock */
  if (box->created_ms <= 0)
    (void) snprintf(text, 32, "-");
  else if (seconds < 60)
    (void) snprintf(text, 32, "%llds", seconds);
  else if (seconds < 3600)
    (void) snprintf(text, 32, "%lldm", seconds / 60);
  else if (seconds < 86400)
    (void) snprintf(text, 32, "%lldh%lldm", seconds / 3600, seconds / 60 % 60);
  else
    (void) snprintf(text, 32, "%lldd%lldh", seconds / 86400, seconds / 3600 % 24);
  return text;
}

static void write_text(struct mbp_writer *writer, const char *key, const char *text)
{
  if (text[0])
    mag_writer_string(writer, key, mbp_str(text));
}

static void print_json(const struct box *box, const char *outcome)
{
  mag_autowriter writer = mag_writer_new();
  char time[MAG_TIME_TEXT];
  mag_writer_object(writer, NULL);
  mag_writer_string(writer, "provider", mbp_str(provider_name(box)));
  mag_writer_string(writer, "id", mbp_str(box->id));
  write_text(writer, "key", box->key);
  write_text(writer, "session", box->session);
  mag_writer_string(writer, "state", mbp_str(outcome ? outcome : state_name(box->state)));
  if (!outcome) {
    mag_writer_string(writer, "network", mbp_str(network_name(box->network)));
    write_text(writer, "limits", box->limits);
    if (box->created_ms > 0) {
      mag_clock_format(box->created_ms, time);
      mag_writer_string(writer, "created_at", mbp_str(time));
    }
  }
  mag_writer_end(writer);
  mag_autofree char *text = mag_writer_take(writer);
  puts(text ? text : "{}");
}

static void print_table(const struct boxes *boxes)
{
  int id_width = 2, provider_width = 8;
  char age[32];
  for (size_t i = 0; i < boxes->n; i++) {
    id_width = MAG_MAX(id_width, (int) MAG_MIN(strlen(boxes->items[i].id), (size_t) 64));
    provider_width = MAG_MAX(provider_width, (int) strlen(provider_name(&boxes->items[i])));
  }
  printf("%-*s  %-*s  %-9s  %-7s  %-12s  %s\n", id_width, "ID", provider_width, "PROVIDER", "STATE", "UPTIME",
         "NETWORK", "SESSION");
  for (size_t i = 0; i < boxes->n; i++) {
    const struct box *box = &boxes->items[i];
    render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(box->id));
    printf("%*s  %-*s  %-9s  %-7s  %-12s  ", id_width - (int) MAG_MIN(strlen(box->id), (size_t) id_width), "",
           provider_width, provider_name(box), state_name(box->state), uptime(box, age), network_name(box->network));
    render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(box->session));
    putchar('\n');
  }
}

static int ps(struct boxes *boxes, const struct arguments *arguments)
{
  for (size_t i = 0; arguments->json && i < boxes->n; i++)
    print_json(&boxes->items[i], NULL);
  if (!arguments->json && boxes->n)
    print_table(boxes);
  else if (!arguments->json && !boxes->failed)
    puts("no sandboxes");
  return boxes->failed ? EXIT_ERROR : EXIT_OK;
}

/* ---- stop ------------------------------------------------------------------------------------------------------- */

static int keep_state(void *ctx, const void *result, struct mbp_error *err)
{
  const struct mbp_sandbox_info *info = result;
  (void) err;
  if (info)
    *(uint32_t *) ctx = info->state;
  return 0;
}

/* To destroy what a provider does not know is no error: so it is asked whether the sandbox has gone. */
static int stop_box(const struct box *box, struct mbp_error *err)
{
  const struct mbp_compute_ops *ops = mag_instance_ops(box->provider);
  uint32_t state = 0;
  struct mag_call_options destroying = {.timeout_ms = STOP_MS};
  struct mag_call_options asking = {.timeout_ms = LIST_MS, .on_result = keep_state, .ctx = &state};
  struct mbp_str id = mbp_str(box->id);
  int r = MAG_RUN_CONTROL(box->provider, &destroying, err, ops->destroy(plugin, call, id, err));
  if (r == 0)
    r = MAG_RUN(box->provider, &asking, err, ops->status(plugin, call, id, err));
  if (r == 0 && state != MBP_SANDBOX_STOPPED)
    r = mag_error(err, MBP_E_INTERNAL, "sandbox %.128s is still %s", box->id, state_name(state));
  return r;
}

/* Whole ids and keys come before beginnings. NULL, with an error, if it is none or several. */
static struct box *find_box(struct boxes *boxes, const char *name, struct mbp_error *err)
{
  struct box *found = NULL;
  size_t len = strlen(name);
  for (size_t i = 0; i < boxes->n; i++)
    if (strcmp(boxes->items[i].id, name) == 0 || strcmp(boxes->items[i].key, name) == 0)
      return &boxes->items[i];
  for (size_t i = 0; i < boxes->n && len >= PREFIX_MIN; i++) {
    if (strncmp(boxes->items[i].id, name, len) != 0)
      continue;
    if (found) {
      mag_error(err, MBP_E_INVALID, "several sandboxes' ids begin with \"%.128s\"", name);
      return NULL;
    }
    found = &boxes->items[i];
  }
  if (!found)
    mag_error(err, MBP_E_NOT_FOUND, "no sandbox \"%.128s\"%s; `magent compute ps` shows which there are", name,
              boxes->failed ? " with the providers that could be asked" : "");
  return found;
}

static int stop(struct boxes *boxes, const struct arguments *arguments)
{
  int status = boxes->failed && arguments->all ? EXIT_ERROR : EXIT_OK;
  for (size_t i = 0; i < arguments->n_ids; i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct box *box = find_box(boxes, arguments->ids[i], &err);
    if (box)
      box->chosen = true;
    else
      status = cli_fail(&err);
  }
  for (size_t i = 0; i < boxes->n; i++) {
    struct mbp_error err = MAG_ERROR_INIT;
    const struct box *box = &boxes->items[i];
    if (!box->chosen && !arguments->all)
      continue;
    if (stop_box(box, &err) < 0) {
      status = fail_of(provider_name(box), &err);
    } else if (arguments->json) {
      print_json(box, "stopped");
    } else {
      fputs("stopped ", stdout);
      render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(box->id));
      putchar('\n');
    }
  }
  if (arguments->all && !boxes->n && !boxes->failed && !arguments->json)
    puts("no sandboxes");
  return status;
}

/* ---- Dispatch ------------------------------------------------------------------------------------------------- */

enum { O_JSON = 256, O_PROVIDER, O_ALL };

static const struct option of_ps[] = {
    {"json", no_argument, NULL, O_JSON},
    {"provider", required_argument, NULL, O_PROVIDER},
    {NULL, 0, NULL, 0},
};
static const struct option of_stop[] = {
    {"json", no_argument, NULL, O_JSON},
    {"provider", required_argument, NULL, O_PROVIDER},
    {"all", no_argument, NULL, O_ALL},
    {NULL, 0, NULL, 0},
};

static const struct verb {
  const char *name, *full_name;
  int (*run)(struct boxes *boxes, const struct arguments *arguments);
  const struct option *options;
} verbs[] = {{"ps", "compute ps", ps, of_ps}, {"stop", "compute stop", stop, of_stop}};

/* 0, a status to exit with, or -1: help was printed. */
static int read_arguments(const struct verb *verb, struct arguments *arguments, int argc, char **argv)
{
  int option;
  cli_options_begin();
  while ((option = cli_option(verb->full_name, argc, argv, verb->options)) != -1) {
    if (option == CLI_WRONG)
      return EXIT_USAGE;
    if (option == CLI_HELP) {
      fputs(help_text, stdout);
      return -1;
    }
    arguments->json |= option == O_JSON;
    arguments->all |= option == O_ALL;
    if (option == O_PROVIDER)
      arguments->provider = optarg;
  }
  arguments->ids = argv + optind;
  arguments->n_ids = (size_t) (argc - optind);
  if (verb->run == ps && arguments->n_ids)
    return cli_usage(verb->full_name, "unexpected \"%s\"", arguments->ids[0]);
  if (verb->run == stop && arguments->all == (arguments->n_ids > 0))
    return cli_usage(verb->full_name, "%s", arguments->all ? "ids or --all, not both" : "which one? ids, or --all");
  return 0;
}

static int run(struct cli *cli, const struct verb *verb, const struct arguments *arguments)
{
  struct boxes boxes = {.engine = cli_engine(cli)};
  if (!boxes.engine)
    return EXIT_ERROR;
  boxes_read(&boxes, arguments->provider);
  int status = verb->run(&boxes, arguments);
  boxes_done(&boxes);
  mag_engine_free(boxes.engine);
  return status;
}

int cli_compute(struct cli *cli, int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    fputs(help_text, stdout);
    return EXIT_OK;
  }
  for (size_t i = 0; i < MAG_COUNT(verbs); i++)
    if (strcmp(name, verbs[i].name) == 0) {
      struct arguments arguments = {.provider = NULL};
      int status = read_arguments(&verbs[i], &arguments, argc - 1, argv + 1);
      if (status)
        return status < 0 ? EXIT_OK : status;
      return run(cli, &verbs[i], &arguments);
    }
  return cli_unknown_command("compute", name, verbs, MAG_COUNT(verbs), sizeof(verbs[0]));
}
