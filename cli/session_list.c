/* magent session list and info: the unified view of many and of one. */
#include "render.h"
#include "session.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t number(const struct mbp_json *object, const char *key)
{
  return mag_json_num(mag_json_get(object, key), 0);
}

/* "0.01 USD", "-" if nothing had a price, or "?" if it is not known. */
static void write_cost(const struct mbp_json *cost, char *text, size_t size)
{
  struct mbp_str currency = mag_json_str(mag_json_get(cost, "currency"));
  int64_t micros = number(cost, "micros");
  if (mag_json_type(cost) == MBP_JSON_OBJECT && !currency.len && !micros)
    (void) snprintf(text, size, "-");
  else if (mag_json_type(cost) == MBP_JSON_OBJECT) {
    mag_autofree char *amount = mag_micros_text(micros);
    (void) snprintf(text, size, "%s%s%.*s", amount ? amount : "", currency.len ? " " : "", (int) currency.len,
                    currency.ptr ? currency.ptr : "");
  } else
    (void) snprintf(text, size, "?");
}

/* ---- list ----------------------------------------------------------------------------------------------------- */

struct listing {
  bool json;
  size_t n;
};

static int print_row(void *ctx, struct mbp_str info)
{
  struct listing *listing = ctx;
  mag_autojson view = NULL;
  char cost[64];
  listing->n++;
  if (listing->json) {
    printf("%.*s\n", (int) info.len, info.ptr);
    return 0;
  }
  if (mag_json_parse(info, &view, NULL) < 0)
    return 0;
  if (listing->n == 1)
    printf("%-32s %-11s %-16s %6s %9s %14s  %s\n", "ID", "STATUS", "UPDATED", "TURNS", "TOKENS", "COST", "TITLE");
  const struct mbp_json *usage = mag_json_get(view, "usage");
  int64_t tokens = number(usage, "input_tokens") + number(usage, "output_tokens") +
                   number(usage, "cache_read_input_tokens") + number(usage, "cache_creation_input_tokens");
  bool interrupted = mag_json_truth(mag_json_get(view, "interrupted"), 0);
  struct mbp_str status = interrupted ? mbp_str("interrupted") : mag_json_str(mag_json_get(view, "status"));
  write_cost(mag_json_get(view, "cost"), cost, sizeof(cost));
  printf("%-32s %-11s %-16.16s %6lld %9lld %14s  ", mag_json_str(mag_json_get(view, "id")).ptr, status.ptr,
         mag_json_str(mag_json_get(view, "updated_at")).ptr, (long long) number(view, "turns"), (long long) tokens,
         cost);
  render_put_line(stdout, isatty(STDOUT_FILENO), mag_json_str(mag_json_get(view, "title")));
  putchar('\n');
  return 0;
}

static bool is_filtered(const struct mag_session_filter *filter)
{
  return filter->status || filter->agent || filter->created_after_ms || filter->created_before_ms || filter->page;
}

int session_list(struct cli *cli, struct session_arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct listing listing = {.json = arguments->json};
  struct mag_engine *engine = cli_engine(cli);
  char *next = NULL;
  int r = 0;
  if (!engine)
    return EXIT_ERROR;
  if (arguments->all)
    arguments->filter.limit = 1000;
  do {
    char *page = next;
    if (page)
      arguments->filter.page = page;
    r = mag_sessions_list(engine, &arguments->filter, print_row, &listing, &next, &err);
    if (r < 0)
      next = NULL;
    free(page);
  } while (r == 0 && next && arguments->all);
  if (r == 0 && listing.n == 0 && !listing.json)
    puts(is_filtered(&arguments->filter) ? "no such sessions" : "no sessions yet; `magent run PROMPT` makes one");
  if (r == 0 && next)
    fprintf(stderr, "magent: there are more: --page %s\n", next);
  free(next);
  mag_engine_free(engine);
  return r < 0 ? cli_fail(&err) : EXIT_OK;
}

/* ---- info ----------------------------------------------------------------------------------------------------- */

static void print_line(const char *name, struct mbp_str text)
{
  if (!text.len)
    return;
  printf("%-12s ", name);
  render_put_line(stdout, isatty(STDOUT_FILENO), text);
  putchar('\n');
}

static void print_text(const struct mbp_json *view, const char *name, const char *key)
{
  print_line(name, mag_json_str(mag_json_get(view, key)));
}

static void print_view(const struct mbp_json *view, struct mbp_str json)
{
  const struct mbp_json *usage = mag_json_get(view, "usage");
  struct mbp_str budget = {"", 0};
  char cost[64];
  print_text(view, "id", "id");
  print_text(view, "title", "title");
  printf("%-12s %s%s\n", "status", mag_json_str(mag_json_get(view, "status")).ptr,
         mag_json_truth(mag_json_get(view, "interrupted"), 0) ? ", interrupted" : "");
  print_text(view, "stopped with", "stop_reason");
  print_line("error", mag_json_str(mag_json_get(mag_json_get(view, "error"), "message")));
  print_line("agent", mag_json_str(mag_json_get(mag_json_get(view, "agent"), "name")));
  print_text(view, "model", "model");
  print_text(view, "created", "created_at");
  print_text(view, "updated", "updated_at");
  print_text(view, "archived", "archived_at");
  print_text(view, "forked from", "forked_from");
  long long turns = number(view, "turns"), steps = number(view, "steps"), calls = number(view, "tool_calls"),
            active = number(view, "active_ms");
  printf("%-12s %lld turn%s, %lld model request%s, %lld tool call%s, %lld.%01lld s\n", "work", turns, mag_plural(turns),
         steps, mag_plural(steps), calls, mag_plural(calls), active / 1000, active % 1000 / 100);
  printf("%-12s %lld in, %lld out, %lld read from cache, %lld written to cache\n", "tokens",
         (long long) number(usage, "input_tokens"), (long long) number(usage, "output_tokens"),
         (long long) number(usage, "cache_read_input_tokens"),
         (long long) number(usage, "cache_creation_input_tokens"));
  write_cost(mag_json_get(view, "cost"), cost, sizeof(cost));
  printf("%-12s %s\n", "cost", cost);
  if (mag_json_slice(json, "budget", &budget) && budget.len > 2)
    print_line("budget", budget);
}

int session_print_info(struct mag_engine *engine, const char *id, bool json, struct mbp_error *err)
{
  mag_autofree char *info = NULL;
  mag_autojson view = NULL;
  int r = mag_sessions_info(engine, id, &info, err);
  if (r == 0 && json)
    printf("%s\n", info);
  if (r == 0 && !json && (r = mag_json_parse(mbp_str(info), &view, err)) == 0)
    print_view(view, mbp_str(info));
  return r;
}

int session_info(struct cli *cli, struct session_arguments *arguments)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  int r = session_print_info(engine, arguments->words[0], arguments->json, &err);
  mag_engine_free(engine);
  return r < 0 ? cli_fail_session(&err) : EXIT_OK;
}
