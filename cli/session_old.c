#include "session_old.h"

#include "cli.h"
#include "render.h"

#include "agent/sessions.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The sessions that are to go, found before the first of them does. */
struct old {
  int64_t before_ms;
  struct mag_buf lines; /* "ID TIME TITLE\0" */
  char next[256];
};

static int keep_old(void *ctx, const struct mbp_event *event)
{
  struct old *old = ctx;
  mag_autojson summary = NULL;
  if (event->type != MBP_EV_STORE_SESSION || mag_json_parse(event->data, &summary, NULL) < 0)
    return 0;
  struct mbp_str updated = mag_json_str(mag_json_get(summary, "updated_at"));
  struct mbp_str title = mag_json_str(mag_json_get(summary, "title"));
  int64_t updated_ms = mag_clock_parse(updated);
  if (updated_ms <= 0 || updated_ms >= old->before_ms)
    return 0; /* what does not say when is kept */
  mag_buf_printf(&old->lines, "%.*s %.16s ", (int) event->name.len, event->name.ptr, updated.ptr);
  mag_buf_add(&old->lines, title.ptr, strnlen(title.ptr, title.len));
  mag_buf_add_char(&old->lines, 0);
  return old->lines.failed ? -MBP_E_NO_MEMORY : 0;
}

static int take_page(void *ctx, const void *result, struct mbp_error *err)
{
  struct old *old = ctx;
  const struct mbp_page *page = result;
  (void) err;
  (void) snprintf(old->next, sizeof(old->next), "%.*s", page ? (int) page->next.len : 0, page ? page->next.ptr : "");
  return 0;
}

static int find_old(struct mag_instance *store, struct old *old, struct mbp_error *err)
{
  const struct mbp_store_ops *ops = mag_instance_ops(store);
  int r;
  do {
    char page[sizeof(old->next)];
    memcpy(page, old->next, sizeof(page));
    struct mbp_query query = {.size = MBP_SIZE(struct mbp_query, reserved), .limit = 1000, .page = mbp_str(page)};
    struct mag_call_options options = {.sink = keep_old, .on_result = take_page, .ctx = old};
    old->next[0] = 0;
    r = MAG_RUN(store, &options, err, ops->list(plugin, call, &query, err));
  } while (r == 0 && old->next[0]);
  return r;
}

int session_remove_old(struct mag_instance *store, struct mag_engine *engine, const char *age, bool dry_run,
                       struct mbp_error *err)
{
  struct old old = {.lines = MAG_BUF_INIT};
  int64_t age_ms;
  size_t kept = 0;
  if (mag_parse_duration(mbp_str(age), &age_ms) < 0)
    return mag_error(err, MBP_E_INVALID, "--older-than %.40s: an age is a number with d, h, m or s", age);
  old.before_ms = mag_clock_wall_ms() - age_ms;
  int r = find_old(store, &old, err);
  for (size_t at = 0; r == 0 && at < old.lines.len; at += strlen(old.lines.ptr + at) + 1) {
    const char *line = old.lines.ptr + at;
    mag_autofree char *id = mag_str_dup(mbp_str_n(line, strcspn(line, " ")));
    struct mbp_error why = MAG_ERROR_INIT;
    if (!id)
      r = mag_error_no_memory(err);
    else if (!dry_run && mag_sessions_remove(engine, id, &why) < 0) {
      (void) cli_fail(&why);
      kept++;
      continue;
    }
    render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(line));
    putchar('\n');
  }
  mag_buf_done(&old.lines);
  return r == 0 && kept ? mag_error(err, MBP_E_BUSY, "%zu of the old sessions could not be removed", kept) : r;
}
