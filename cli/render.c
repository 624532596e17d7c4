#include "render.h"

#include "cli.h"

#include "base/text.h"

#include <string.h>
#include <unistd.h>

#define LINE_MAX_SHOWN 200
#define RESULT_LINES_SHOWN 20
/* Of what one tool prints, on a screen: a long build's log, and not what `yes` prints until its time is over. */
#define OUTPUT_SHOWN (256 << 10)

static void init(struct render *render, bool json, FILE *notes)
{
  memset(render, 0, sizeof(*render));
  render->json = json;
  render->notes = notes;
  render->out_terminal = isatty(STDOUT_FILENO);
  render->notes_terminal = isatty(fileno(notes));
  render->colours = cli_colours(notes);
}

void render_init(struct render *render, bool json)
{
  init(render, json, stderr);
}

void render_init_log(struct render *render, bool json)
{
  init(render, json, stdout);
  render->from_log = true;
}

/* What a model or a tool says must not drive the terminal: control characters other than newline and tab are dropped.
 * C1 controls are two bytes in UTF-8, C2 80..9F. A byte C2 is written only together with a second byte that makes
 * another character: what is left out between two bytes, or comes from the other stream, cannot join them to a
 * control. */
void render_put_piece(FILE *stream, bool terminal, bool *held, struct mbp_str text)
{
  if (!terminal) {
    fwrite(text.ptr, 1, text.len, stream);
    return;
  }
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char) text.ptr[i];
    bool second = *held;
    *held = c == 0xc2;
    if (*held || (second && c >= 0x80 && c < 0xa0) || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      continue;
    if (second && c >= 0xa0 && c < 0xc0)
      putc(0xc2, stream);
    putc(c, stream);
  }
}

void render_put(FILE *stream, bool terminal, struct mbp_str text)
{
  bool held = false;
  render_put_piece(stream, terminal, &held, text);
}

void render_put_line(FILE *stream, bool terminal, struct mbp_str text)
{
  while (text.len) {
    const char *newline = memchr(text.ptr, '\n', text.len);
    size_t len = newline ? (size_t) (newline - text.ptr) : text.len;
    render_put(stream, terminal, mbp_str_n(text.ptr, len));
    if (newline)
      fputc(' ', stream);
    text = mbp_str_n(text.ptr + len + (newline != NULL), text.len - len - (newline != NULL));
  }
}

static void out(struct render *render, struct mbp_str text)
{
  if (text.len == 0)
    return;
  render_put_piece(stdout, render->out_terminal, &render->text_held, text);
  render->mid_line = text.ptr[text.len - 1] != '\n';
  if (fflush(stdout) != 0)
    render->failed = true;
}

/* Both streams may be the same terminal. */
void render_break(struct render *render)
{
  if (render->mid_line) {
    fputc('\n', stdout);
    fflush(stdout);
  }
  if (render->tool_mid_line)
    fputc('\n', render->notes);
  render->mid_line = render->tool_mid_line = false;
  render->text_held = render->tool_held = false;
}

static const char *dim(const struct render *render)
{
  return render->colours ? "\033[2m" : "";
}

static const char *plain(const struct render *render)
{
  return render->colours ? "\033[0m" : "";
}

/* How much of the first line is shown: whole characters. */
static size_t shown_length(struct mbp_str text)
{
  size_t len = 0;
  while (len < text.len && len < LINE_MAX_SHOWN && text.ptr[len] != '\n')
    len++;
  while (len < text.len && ((unsigned char) text.ptr[len] & 0xc0) == 0x80)
    len++;
  return len;
}

static void note(struct render *render, const char *mark, struct mbp_str name, struct mbp_str text)
{
  size_t len = shown_length(text);
  render_break(render);
  fprintf(render->notes, "%s%s ", dim(render), mark);
  render_put(render->notes, render->notes_terminal, name);
  fputs(name.len && text.len ? ": " : "", render->notes);
  render_put(render->notes, render->notes_terminal, mbp_str_n(text.ptr, len));
  fprintf(render->notes, "%s%s\n", len < text.len ? " ..." : "", plain(render));
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static void show_message(struct render *render, const struct mbp_json *event)
{
  if (mbp_str_eq(mag_json_str(mag_json_get(event, "id")), render->seen)) {
    render_break(render);
    return;
  }
  for (const struct mbp_json *block = mag_json_first(mag_json_get(event, "content")); block;
       block = mag_json_next(block))
    out(render, mag_json_str(mag_json_get(block, "text")));
  render_break(render);
}

/* The part of a call's input that a person wants to see first. */
static struct mbp_str gist(const struct mbp_json *input)
{
  static const char *const keys[] = {"command", "file_path", "pattern", "path", "url", "query"};
  for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
    if (mag_json_str(mag_json_get(input, keys[i])).len)
      return mag_json_str(mag_json_get(input, keys[i]));
  return mbp_str("");
}

static void show_tool_use(struct render *render, const struct mbp_json *event)
{
  note(render, ">", mag_json_str(mag_json_get(event, "name")), gist(mag_json_get(event, "input")));
}

/* What a custom tool answered has been seen by nobody yet. */
static void show_custom_result(struct render *render, const struct mbp_json *event)
{
  const struct mbp_json *block = mag_json_first(mag_json_get(event, "content"));
  bool failed = mag_json_truth(mag_json_get(event, "is_error"), 0);
  note(render, failed ? "!" : "<", mbp_str(failed ? "failed" : "answer"), mag_json_str(mag_json_get(block, "text")));
}

static void show_confirmation(struct render *render, const struct mbp_json *event)
{
  note(render, "#", mag_json_str(mag_json_get(event, "result")), mag_json_str(mag_json_get(event, "deny_message")));
}

/* The text of a stored result, which nobody has seen as it came. */
static void show_stored_text(struct render *render, struct mbp_str text)
{
  size_t lines = 0;
  while (text.len) {
    const char *newline = memchr(text.ptr, '\n', text.len);
    struct mbp_str line = mbp_str_n(text.ptr, newline ? (size_t) (newline - text.ptr) : text.len);
    size_t len = shown_length(line);
    if (lines++ < RESULT_LINES_SHOWN) {
      fprintf(render->notes, "%s  | ", dim(render));
      render_put(render->notes, render->notes_terminal, mbp_str_n(line.ptr, len));
      fprintf(render->notes, "%s%s\n", len < line.len ? " ..." : "", plain(render));
    }
    size_t taken = line.len + (newline != NULL);
    text = mbp_str_n(text.ptr + taken, text.len - taken);
  }
  if (lines > RESULT_LINES_SHOWN)
    fprintf(render->notes, "%s  | ... %zu more line%s%s\n", dim(render), lines - RESULT_LINES_SHOWN,
            mag_plural((int64_t) (lines - RESULT_LINES_SHOWN)), plain(render));
}

static struct mbp_str last_line(struct mbp_str text)
{
  while (text.len && text.ptr[text.len - 1] == '\n')
    text.len--;
  const char *newline = text.len ? memrchr(text.ptr, '\n', text.len) : NULL;
  size_t before = newline ? (size_t) (newline + 1 - text.ptr) : 0;
  return mbp_str_n(text.ptr + before, text.len - before);
}

/* How it failed: of output that stands above already the end, which says that the call was interrupted, ran out of
 * time, or with which status it ended. */
static void show_failure(struct render *render, struct mbp_str text)
{
  note(render, "!", mbp_str("failed"),
       render->from_log      ? mbp_str("")
       : render->output_seen ? last_line(text)
                             : text);
}

static void show_tool_result(struct render *render, const struct mbp_json *event)
{
  const struct mbp_json *block = mag_json_first(mag_json_get(event, "content"));
  bool failed = mag_json_truth(mag_json_get(event, "is_error"), 0);
  if (render->tool_mid_line)
    fputc('\n', render->notes);
  render->tool_mid_line = false;
  if (failed)
    show_failure(render, mag_json_str(mag_json_get(block, "text")));
  render->output_seen = false;
  render->output_shown = 0;
  for (; block && render->from_log; block = mag_json_next(block))
    show_stored_text(render, mag_json_str(mag_json_get(block, "text")));
}

static void show_error(struct render *render, const struct mbp_json *event)
{
  note(render, "!", mbp_str(""), mag_json_str(mag_json_get(mag_json_get(event, "error"), "message")));
}

static void show_user_message(struct render *render, const struct mbp_json *event)
{
  const struct mbp_json *block = mag_json_first(mag_json_get(event, "content"));
  note(render, "#", mbp_str("user"), mag_json_str(mag_json_get(block, "text")));
}

void render_record(struct render *render, const struct mbp_record *record)
{
  static const struct {
    const char *type;
    void (*show)(struct render *render, const struct mbp_json *event);
  } rules[] = {
      {MAG_EV_MESSAGE, show_message}, {MAG_EV_TOOL_USE, show_tool_use},         {MAG_EV_TOOL_RESULT, show_tool_result},
      {MAG_EV_ERROR, show_error},     {MAG_EV_USER_MESSAGE, show_user_message},
      {MAG_EV_CUSTOM_TOOL_USE, show_tool_use},
      {MAG_EV_USER_CUSTOM_RESULT, show_custom_result},
      {MAG_EV_USER_CONFIRMATION, show_confirmation},
  };
  if (record->klass != MBP_RECORD_EVENT)
    return;
  if (render->json) {
    fwrite(record->payload.ptr, 1, record->payload.len, stdout);
    fputc('\n', stdout);
    render->failed |= fflush(stdout) != 0;
    return;
  }
  mag_autojson event = NULL;
  if (mag_json_parse(record->payload, &event, NULL) < 0)
    return;
  for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
    if (mbp_str_eq(record->type, rules[i].type))
      rules[i].show(render, event);
  render->failed |= render->from_log && fflush(stdout) != 0; /* a pipe sees it when it happens */
}

static void on_event(void *ctx, const struct mbp_record *record)
{
  struct render *render = ctx;
  /* The user has just typed the one, and the program ends with the other. */
  if (render->json || !(mbp_str_eq(record->type, MAG_EV_USER_MESSAGE) || mbp_str_eq(record->type, MAG_EV_ERROR)))
    render_record(render, record);
}

/* ---- Previews ------------------------------------------------------------------------------------------------- */

static void leave_out_the_rest(struct render *render)
{
  fprintf(render->notes, "%s%s  | ... the rest of this output is not shown%s\n", render->tool_mid_line ? "\n" : "",
          dim(render), plain(render));
  render->tool_mid_line = render->tool_held = false;
}

static void show_output(struct render *render, struct mbp_str data)
{
  bool enough = render->output_shown >= OUTPUT_SHOWN;
  render->output_seen |= data.len > 0;
  for (size_t at = 0; at < data.len && render->output_shown < OUTPUT_SHOWN;) {
    const char *newline = memchr(data.ptr + at, '\n', data.len - at);
    size_t len = newline ? (size_t) (newline - data.ptr) - at : data.len - at;
    if (!render->tool_mid_line) {
      render_break(render);
      fprintf(render->notes, "%s  | ", dim(render));
    }
    render_put_piece(render->notes, render->notes_terminal, &render->tool_held, mbp_str_n(data.ptr + at, len));
    render->tool_mid_line = !newline;
    render->tool_held &= !newline;
    if (newline)
      fprintf(render->notes, "%s\n", plain(render));
    at += len + (newline != NULL);
    render->output_shown += len + strlen("  | \n");
  }
  if (!enough && render->output_shown >= OUTPUT_SHOWN)
    leave_out_the_rest(render);
}

static void on_preview(void *ctx, const struct mag_preview *preview)
{
  struct render *render = ctx;
  if (render->json)
    return;
  switch (preview->kind) {
  case MAG_PREVIEW_TEXT:
    if (strcmp(render->seen, preview->event_id) != 0)
      render_break(render);
    (void) snprintf(render->seen, sizeof(render->seen), "%s", preview->event_id);
    out(render, preview->data);
    break;
  case MAG_PREVIEW_TOOL_OUTPUT:
    show_output(render, preview->data);
    break;
  case MAG_PREVIEW_PROGRESS:
    note(render, "-", mbp_str(""), preview->data);
    break;
  default:
    break;
  }
}

struct mag_observer render_observer(struct render *render)
{
  return (struct mag_observer){.ctx = render, .event = on_event, .preview = on_preview};
}

void render_end(struct render *render)
{
  if (!render->json)
    render_break(render);
  render->failed |= fflush(stdout) != 0;
}
