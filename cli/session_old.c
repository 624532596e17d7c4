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
};

static int keep_old(void *ctx, struct mbp_str info)
{
  struct old *old = ctx;
  mag_autojson json = NULL;
  int64_t updated_ms;
  if (mag_json_parse(info, &json, NULL) < 0)
    return 0;
  struct mbp_str id = mag_json_str(mag_json_get(json, "id")), title = mag_json_str(mag_json_get(json, "title")),
                 updated = mag_json_str(mag_json_get(json, "updated_at"));
  if (!id.len || !updated.len || mag_clock_parse(updated.ptr, &updated_ms) < 0 || updated_ms >= old->before_ms)
    return 0; /* what does not say when is kept */
  mag_buf_printf(&old->lines, "%s %.16s %s", id.ptr, updated.ptr, title.len ? title.ptr : "");
  mag_buf_add_char(&old->lines, 0);
  return old->lines.failed ? -MBP_E_NO_MEMORY : 0;
}

static int find_old(struct mag_engine *engine, struct old *old, struct mbp_error *err)
{
  mag_autofree char *page = NULL;
  int r;
  do {
    struct mag_session_filter filter = {.archived = true, .oldest_first = true, .limit = 1000, .page = page};
    char *next = NULL;
    r = mag_sessions_list(engine, &filter, keep_old, old, &next, err);
    free(page);
    page = next;
  } while (r == 0 && page && *page);
  return r;
}

static void print(const char *line, const char *id, bool json, bool removed)
{
  if (json)
    printf("{\"id\":\"%s\",\"removed\":%s}\n", id, removed ? "true" : "false");
  else {
    render_put_line(stdout, isatty(STDOUT_FILENO), mbp_str(line));
    putchar('\n');
  }
}

int session_remove_old(struct mag_engine *engine, int64_t before_ms, bool dry_run, bool json, struct mbp_error *err)
{
  struct old old = {.before_ms = before_ms, .lines = MAG_BUF_INIT};
  size_t kept = 0;
  int r = find_old(engine, &old, err);
  for (size_t at = 0; r == 0 && at < old.lines.len; at += strlen(old.lines.ptr + at) + 1) {
    const char *line = old.lines.ptr + at;
    mag_autofree char *id = mag_str_dup(mbp_str_n(line, strcspn(line, " ")));
    struct mbp_error why = MAG_ERROR_INIT;
    if (!id)
      r = mag_error_no_memory(err);
    else if (dry_run || mag_sessions_remove(engine, id, &why) == 0)
      print(line, id, json, !dry_run);
    else {
      (void) cli_fail(&why);
      kept++;
    }
  }
  mag_buf_done(&old.lines);
  return r == 0 && kept
             ? mag_error(err, MBP_E_BUSY, "%zu old session%s could not be removed", kept, mag_plural((int64_t) kept))
             : r;
}
