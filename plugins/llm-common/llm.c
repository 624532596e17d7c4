#include "llm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Buffers -------------------------------------------------------------------------------------------------- */

void llm_buf_done(struct llm_buf *buf)
{
  free(buf->ptr);
  *buf = (struct llm_buf){0};
}

void llm_buf_clear(struct llm_buf *buf)
{
  buf->len = 0;
  if (buf->ptr)
    buf->ptr[0] = 0;
}

static void grow(struct llm_buf *buf, size_t cap)
{
  char *ptr = realloc(buf->ptr, cap);
  if (!ptr) {
    buf->failed = 1;
    return;
  }
  buf->ptr = ptr;
  buf->cap = cap;
}

static int fits(struct llm_buf *buf, size_t more)
{
  if (more >= SIZE_MAX / 4 - buf->len)
    buf->failed = 1;
  return !buf->failed && buf->len + more + 1 <= buf->cap;
}

void llm_buf_reserve(struct llm_buf *buf, size_t more)
{
  if (!fits(buf, more) && !buf->failed)
    grow(buf, buf->len + more + 1);
}

void llm_buf_add(struct llm_buf *buf, const void *data, size_t len)
{
  if (buf->failed || len == 0)
    return;
  if (!fits(buf, len) && !buf->failed) {
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < buf->len + len + 1)
      cap *= 2;
    grow(buf, cap);
  }
  if (buf->failed)
    return;
  memcpy(buf->ptr + buf->len, data, len);
  buf->len += len;
  buf->ptr[buf->len] = 0;
}

void llm_buf_str(struct llm_buf *buf, struct mbp_str s)
{
  llm_buf_add(buf, s.ptr, s.len);
}

void llm_buf_text(struct llm_buf *buf, const char *text)
{
  llm_buf_add(buf, text, strlen(text));
}

/* For short, bounded pieces: numbers and ids. */
void llm_buf_printf(struct llm_buf *buf, const char *format, ...)
{
  char piece[512];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof(piece), format, args);
  va_end(args);
  if (n < 0 || (size_t) n >= sizeof(piece))
    buf->failed = 1;
  else
    llm_buf_add(buf, piece, (size_t) n);
}

int llm_buf_receive(struct llm_buf *buf, size_t *received, struct mbp_str piece, struct mbp_error *err)
{
  if (piece.len > LLM_MAX_RESPONSE || *received + piece.len > LLM_MAX_RESPONSE)
    return llm_error(err, MBP_E_LIMIT, "the answer is larger than %zu MiB", LLM_MAX_RESPONSE >> 20);
  *received += piece.len;
  llm_buf_str(buf, piece);
  return buf->failed ? llm_no_memory(err) : 0;
}

/* ---- Errors --------------------------------------------------------------------------------------------------- */

/* Control characters become spaces and a character that was cut in two is removed. */
static void make_line(char *text, int cut)
{
  size_t len = strlen(text);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
      text[i] = ' ';
  if (!cut)
    return;
  size_t start = len;
  while (start > 0 && ((unsigned char) text[start - 1] & 0xc0) == 0x80)
    start--;
  if (start > 0 && (unsigned char) text[start - 1] >= 0xc0)
    text[start - 1] = 0;
}

__attribute__((format(printf, 4, 0))) static int error_v(struct mbp_error *err, int code, uint32_t flags,
                                                         const char *format, va_list args)
{
  if (!err)
    return -code;
  uint32_t size = err->size;
  memset(err, 0, sizeof(*err));
  err->size = size;
  err->code = code;
  err->flags = flags;
  int n = vsnprintf(err->message, sizeof(err->message), format, args);
  make_line(err->message, n >= (int) sizeof(err->message));
  return -code;
}

int llm_error(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int r = error_v(err, code, 0, format, args);
  va_end(args);
  return r;
}

int llm_error_retry(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int r = error_v(err, code, MBP_ERR_RETRYABLE, format, args);
  va_end(args);
  return r;
}

int llm_no_memory(struct mbp_error *err)
{
  return llm_error(err, MBP_E_NO_MEMORY, "out of memory");
}

void llm_error_prefix(struct mbp_error *err, const char *text)
{
  char all[sizeof(err->message)];
  int n = snprintf(all, sizeof(all), "%s: %s", text, err->message);
  make_line(all, n >= (int) sizeof(all));
  memcpy(err->message, all, sizeof(all));
}

#define NAME_MAX_LEN 48

/* Edit distance of two short names. */
static size_t distance(struct mbp_str a, const char *b)
{
  size_t row[NAME_MAX_LEN + 1], n = strlen(b);
  if (a.len > NAME_MAX_LEN || n > NAME_MAX_LEN)
    return NAME_MAX_LEN;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t best = diagonal + (a.ptr[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best)
        best = row[j] + 1;
      if (row[j - 1] + 1 < best)
        best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[n];
}

const char *llm_nearest(struct mbp_str text, const char *const *names)
{
  const char *best = NULL;
  size_t best_distance = text.len / 3 + 2;
  for (; *names; names++) {
    size_t d = distance(text, *names);
    if (d < best_distance) {
      best = *names;
      best_distance = d;
    }
  }
  return best;
}

/* ---- Previews ------------------------------------------------------------------------------------------------- */

int llm_emit(const struct llm_out *out, uint32_t type, size_t index, struct mbp_str name, struct mbp_str data,
             struct mbp_error *err)
{
  if (!out || !out->emit)
    return 0;
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data), .type = type, .index = (uint32_t) index,
                            .name = name, .data = data};
  if (out->emit(out->ctx, &event) < 0)
    return llm_error(err, MBP_E_CANCELLED, "the request was stopped");
  return 0;
}

int llm_broken_stream(struct mbp_error *err, const char *why)
{
  return llm_error_retry(err, MBP_E_PROTOCOL, "broken stream from the service: %s", why);
}

int llm_emit_to_call(void *ctx, const struct mbp_event *event)
{
  const struct llm_call *to = ctx;
  return to->host->emit(to->call, event);
}

int llm_done(const struct mbp_host *host, struct mbp_call *call, int r, const void *result, const struct mbp_error *err)
{
  host->done(call, r < 0 ? NULL : result, r < 0 ? err : NULL);
  return 0;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

int llm_quote(const struct mbp_json_v1 *json, struct mbp_str text, struct llm_buf *buf, struct mbp_error *err)
{
  struct mbp_writer *writer = json->writer_new();
  struct mbp_str quoted;
  json->string(writer, NULL, text);
  int r = writer ? json->text(writer, &quoted) : -MBP_E_NO_MEMORY;
  if (r == 0) {
    llm_buf_str(buf, quoted);
    r = buf->failed ? -MBP_E_NO_MEMORY : 0;
  }
  json->writer_free(writer);
  return r < 0 ? llm_no_memory(err) : 0;
}

int llm_splice(const struct mbp_json_v1 *json, struct llm_buf *object, const char *member, struct mbp_str value,
               struct mbp_error *err)
{
  struct mbp_str text = llm_buf_view(object), old;
  llm_autobuf out = {0};
  if (json->slice(text, member, &old)) {
    llm_buf_add(&out, text.ptr, (size_t) (old.ptr - text.ptr));
    llm_buf_str(&out, value);
    llm_buf_add(&out, old.ptr + old.len, (size_t) (text.ptr + text.len - old.ptr - old.len));
  } else {
    size_t end = text.len, last;
    while (end > 0 && text.ptr[end - 1] != '}')
      end--;
    if (end == 0)
      return llm_error(err, MBP_E_INTERNAL, "not a JSON object");
    for (last = end - 1; last > 0 && strchr(" \t\r\n", text.ptr[last - 1]);)
      last--;
    llm_buf_add(&out, text.ptr, last);
    llm_buf_text(&out, last > 0 && text.ptr[last - 1] == '{' ? "\"" : ",\"");
    llm_buf_text(&out, member);
    llm_buf_text(&out, "\":");
    llm_buf_str(&out, value);
    llm_buf_add(&out, text.ptr + end - 1, text.len - end + 1);
  }
  if (out.failed)
    return llm_no_memory(err);
  struct llm_buf swap = *object;
  *object = out;
  out = swap;
  return 0;
}

int llm_is_object(const struct mbp_json_v1 *json, struct mbp_str text)
{
  struct mbp_error ignored = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_json *document = NULL;
  if (json->parse(text, &document, &ignored) < 0)
    return 0;
  int object = json->type(document) == MBP_JSON_OBJECT;
  json->free(document);
  return object;
}

int llm_is_blank(struct mbp_str text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.ptr[i] != ' ' && text.ptr[i] != '\n' && text.ptr[i] != '\t' && text.ptr[i] != '\r')
      return 0;
  return 1;
}

struct mbp_str llm_error_text(const struct mbp_json_v1 *json, const struct mbp_json *body)
{
  static const char *const keys[] = {"message", "error", "detail", NULL};
  if (json->type(body) == MBP_JSON_ARRAY)
    body = json->first(body);
  for (int depth = 0; depth < 3 && body; depth++) {
    const struct mbp_json *inner = json->get(body, "error");
    if (json->type(inner) != MBP_JSON_OBJECT)
      break;
    body = inner;
  }
  for (size_t i = 0; keys[i]; i++)
    if (json->str(json->get(body, keys[i])).len)
      return json->str(json->get(body, keys[i]));
  return json->str(body);
}

int llm_check_members(const struct mbp_json_v1 *json, const struct mbp_json *object, const char *const *known,
                      const char *what, struct mbp_error *err)
{
  for (const struct mbp_json *member = json->first(object); member; member = json->next(member)) {
    struct mbp_str key = json->key(member);
    size_t i = 0;
    while (known[i] && !mbp_str_eq(key, known[i]))
      i++;
    if (known[i])
      continue;
    const char *near = llm_nearest(key, known);
    int len = key.len < 60 ? (int) key.len : 60;
    if (near)
      return llm_error(err, MBP_E_INVALID, "unknown %s \"%.*s\"; did you mean \"%s\"?", what, len, key.ptr, near);
    return llm_error(err, MBP_E_INVALID, "unknown %s \"%.*s\"", what, len, key.ptr);
  }
  return 0;
}
