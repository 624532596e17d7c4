#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_reply(struct script_reply *reply)
{
  for (size_t i = 0; i < reply->n_steps; i++) {
    free(reply->steps[i].text);
    free(reply->steps[i].name);
    free(reply->steps[i].id);
    free(reply->steps[i].json);
  }
  free(reply->steps);
  free(reply->match);
  free(reply->stop_details);
  free(reply->model);
}

void script_free(struct script *script)
{
  if (!script)
    return;
  for (size_t i = 0; i < script->n; i++)
    free_reply(&script->replies[i]);
  free(script->replies);
  free(script);
}

/* ---- Reading one reply ---------------------------------------------------------------------------------------- */

struct reading {
  const struct mbp_json_v1 *json;
  struct mbp_str text;   /* what the reply was parsed from */
  char place[64];        /* path of the reply in it, "" or ending in '/' */
  struct script *script;
};

static int copy(struct mbp_str s, char **ret, struct mbp_error *err)
{
  char *text = strndup(s.len ? s.ptr : "", s.len);
  if (!text)
    return llm_no_memory(err);
  free(*ret);
  *ret = text;
  return 0;
}

/* The raw text of a member below the reply. */
static int copy_raw(struct reading *reading, const char *path, char **ret, struct mbp_error *err)
{
  struct mbp_str raw;
  llm_autobuf full = {0};
  llm_buf_text(&full, reading->place);
  llm_buf_text(&full, path);
  if (full.failed || !reading->json->slice(reading->text, full.ptr, &raw))
    return llm_no_memory(err);
  return copy(raw, ret, err);
}

static int want(const struct mbp_json_v1 *json, const struct mbp_json *object, const char *key, uint32_t type,
                const char *what, struct mbp_error *err)
{
  const struct mbp_json *value = json->get(object, key);
  if (value && json->type(value) != type)
    return llm_error(err, MBP_E_INVALID, "\"%s\" must be %s", key, what);
  return 0;
}

/* A whole number from min to max; absent: `otherwise`. */
static int read_number(const struct mbp_json_v1 *json, const struct mbp_json *object, const char *key, int64_t min,
                       int64_t max, int64_t otherwise, int64_t *ret, struct mbp_error *err)
{
  const struct mbp_json *value = json->get(object, key);
  int64_t n = value ? json->num(value, INT64_MIN) : otherwise;
  if (value && (n < min || n > max))
    return llm_error(err, MBP_E_INVALID, "\"%s\" must be a whole number from %lld to %lld", key, (long long) min,
                     (long long) max);
  *ret = n;
  return 0;
}

static const struct {
  const char *name;
  int code;
  int status;
  int retryable;
} codes[] = {
    {"invalid", MBP_E_INVALID, 400, 0},         {"auth", MBP_E_AUTH, 401, 0},
    {"billing", MBP_E_BILLING, 402, 0},         {"permission", MBP_E_PERMISSION, 403, 0},
    {"not_found", MBP_E_NOT_FOUND, 404, 0},     {"conflict", MBP_E_CONFLICT, 409, 1},
    {"limit", MBP_E_LIMIT, 413, 0},             {"rate", MBP_E_RATE, 429, 1},
    {"upstream", MBP_E_UPSTREAM, 500, 1},       {"overloaded", MBP_E_OVERLOADED, 529, 1},
    {"network", MBP_E_NETWORK, 0, 1},           {"protocol", MBP_E_PROTOCOL, 0, 1},
    {"timeout", MBP_E_TIMEOUT, 0, 1},           {"unavailable", MBP_E_UNAVAILABLE, 0, 0},
    {"unsupported", MBP_E_UNSUPPORTED, 0, 0},   {"internal", MBP_E_INTERNAL, 0, 0},
};
#define N_CODES (sizeof(codes) / sizeof(codes[0]))

static int find_code(struct mbp_str name, int64_t status, size_t *ret_index, struct mbp_error *err)
{
  const char *names[N_CODES + 1] = {0};
  for (size_t i = 0; i < N_CODES; i++) {
    names[i] = codes[i].name;
    if (name.len ? mbp_str_eq(name, codes[i].name) : status == codes[i].status) {
      *ret_index = i;
      return 0;
    }
  }
  if (name.len == 0) {
    *ret_index = status >= 500 ? 8 : 0; /* "upstream" or "invalid" */
    return 0;
  }
  const char *near = llm_nearest(name, names);
  return llm_error(err, MBP_E_INVALID, "unknown error code \"%.*s\"%s%s%s", name.len < 40 ? (int) name.len : 40,
                   name.ptr, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_error(struct reading *reading, const struct mbp_json *value, struct script_step *step,
                      struct mbp_error *err)
{
  static const char *const known[] = {"code", "status", "message", "retry_after_ms", "retryable", "times", NULL};
  const struct mbp_json_v1 *json = reading->json;
  struct mbp_str message = json->str(json->get(value, "message"));
  int64_t status = 0;
  size_t i = 0;
  if (json->type(value) != MBP_JSON_OBJECT)
    return llm_error(err, MBP_E_INVALID, "\"error\" must be an object with a \"code\" or a \"status\"");
  int r = llm_check_members(json, value, known, "key of an error", err);
  if (r == 0)
    r = read_number(json, value, "status", 400, 599, 0, &status, err);
  if (r == 0)
    r = read_number(json, value, "retry_after_ms", 0, SCRIPT_MAX_DELAY_MS, 0, &step->error.retry_after_ms, err);
  if (r == 0)
    r = read_number(json, value, "times", 0, SCRIPT_MAX_REPEAT, 0, &step->error.times, err);
  if (r == 0)
    r = find_code(json->str(json->get(value, "code")), status, &i, err);
  if (r < 0)
    return r;
  step->error.code = codes[i].code;
  step->error.status = (int32_t) (status ? status : codes[i].status);
  step->error.flags = json->truth(json->get(value, "retryable"), codes[i].retryable) ? MBP_ERR_RETRYABLE : 0;
  return copy(message.len ? message : mbp_str("an error of the script"), &step->text, err);
}

static int read_call(struct reading *reading, const struct mbp_json *value, const char *path, struct script_step *step,
                     struct mbp_error *err)
{
  static const char *const known[] = {"name", "input", "id", NULL};
  const struct mbp_json_v1 *json = reading->json;
  struct mbp_str name = json->str(json->get(value, "name")), id = json->str(json->get(value, "id"));
  llm_autobuf input = {0};
  if (json->type(value) != MBP_JSON_OBJECT || name.len == 0)
    return llm_error(err, MBP_E_INVALID, "\"tool_call\" must be an object with a \"name\"");
  int r = llm_check_members(json, value, known, "key of a tool call", err);
  if (r == 0)
    r = want(json, value, "input", MBP_JSON_OBJECT, "an object", err);
  if (r == 0)
    r = copy(name, &step->name, err);
  if (r == 0 && id.len)
    r = copy(id, &step->id, err);
  if (r < 0)
    return r;
  if (!json->get(value, "input"))
    return copy(mbp_str("{}"), &step->json, err);
  llm_buf_text(&input, path);
  llm_buf_text(&input, "/input");
  return input.failed ? llm_no_memory(err) : copy_raw(reading, input.ptr, &step->json, err);
}

static int read_words(struct reading *reading, const struct mbp_json *object, const char *key, struct script_step *step,
                      struct mbp_error *err)
{
  const struct mbp_json_v1 *json = reading->json;
  int r = want(json, object, key, MBP_JSON_STRING, "a string", err);
  if (r == 0)
    r = read_number(json, object, "chunk", 1, 1000000, 0, &step->chunk, err);
  if (r == 0)
    r = read_number(json, object, "pace_ms", 0, SCRIPT_MAX_DELAY_MS, 0, &step->pace_ms, err);
  return r < 0 ? r : copy(json->str(json->get(object, key)), &step->text, err);
}

/* `object` is a step, or a reply that is its own only steps; `path` where it is below the reply, "" or ending in '/'.
 */
static int read_step(struct reading *reading, const struct mbp_json *object, const char *key, enum script_kind kind,
                     const char *path, struct script_step *step, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = reading->json;
  const struct mbp_json *value = json->get(object, key);
  llm_autobuf full = {0};
  step->kind = kind;
  llm_buf_text(&full, path);
  llm_buf_text(&full, key);
  if (full.failed)
    return llm_no_memory(err);
  switch (kind) {
  case STEP_TEXT:
  case STEP_THINKING:
    return read_words(reading, object, key, step, err);
  case STEP_CALL:
    return read_call(reading, value, full.ptr, step, err);
  case STEP_DELAY:
    return read_number(json, object, key, 0, SCRIPT_MAX_DELAY_MS, 0, &step->delay_ms, err);
  case STEP_ERROR:
    return read_error(reading, value, step, err);
  default:
    if (json->type(value) != MBP_JSON_OBJECT || json->str(json->get(value, "type")).len == 0)
      return llm_error(err, MBP_E_INVALID, "\"block\" must be a content block with a \"type\"");
    return copy_raw(reading, full.ptr, &step->json, err);
  }
}

/* In the order in which a reply that is its own steps plays them. */
static const struct {
  const char *key;
  enum script_kind kind;
} step_keys[] = {
    {"delay_ms", STEP_DELAY}, {"thinking", STEP_THINKING}, {"text", STEP_TEXT},
    {"block", STEP_BLOCK},    {"tool_call", STEP_CALL},    {"error", STEP_ERROR},
};
#define N_STEP_KEYS (sizeof(step_keys) / sizeof(step_keys[0]))

static int read_steps_of(struct reading *reading, const struct mbp_json *object, const char *path,
                         struct script_reply *reply, size_t max, struct mbp_error *err)
{
  size_t found = 0;
  for (size_t i = 0; i < N_STEP_KEYS; i++) {
    if (!reading->json->get(object, step_keys[i].key))
      continue;
    if (++found > max)
      return llm_error(err, MBP_E_INVALID, "a step does one thing: \"%s\" needs a step of its own", step_keys[i].key);
    int r = read_step(reading, object, step_keys[i].key, step_keys[i].kind, path, &reply->steps[reply->n_steps++], err);
    if (r < 0)
      return r;
  }
  return found ? 0
               : llm_error(err, MBP_E_INVALID, "a step needs one of text, thinking, tool_call, block, delay_ms, error");
}

static int read_steps(struct reading *reading, const struct mbp_json *value, struct script_reply *reply,
                      struct mbp_error *err)
{
  static const char *const known[] = {"text",  "thinking", "tool_call", "block", "delay_ms",
                                      "error", "chunk",    "pace_ms",   NULL};
  static const char *const of_reply[] = {"match", "repeat", "stop", "stop_details", "usage", "model", "steps", NULL};
  const struct mbp_json_v1 *json = reading->json;
  const struct mbp_json *steps = json->get(value, "steps");
  const char *all[24];
  size_t n = 0;
  for (const char *const *p = of_reply; *p; p++)
    all[n++] = *p;
  for (const char *const *p = known; *p && !steps; p++)
    all[n++] = *p;
  all[n] = NULL;
  int r = llm_check_members(json, value, all, "key of a reply", err);
  if (r == 0)
    r = want(json, value, "steps", MBP_JSON_ARRAY, "an array", err);
  if (r < 0)
    return r;
  reply->steps = calloc((steps ? json->count(steps) : N_STEP_KEYS) + 1, sizeof(*reply->steps));
  if (!reply->steps)
    return llm_no_memory(err);
  if (!steps)
    return read_steps_of(reading, value, "", reply, N_STEP_KEYS, err);
  size_t i = 0;
  for (const struct mbp_json *step = json->first(steps); step; step = json->next(step), i++) {
    char path[40];
    (void) snprintf(path, sizeof(path), "steps/%zu/", i);
    if ((r = llm_check_members(json, step, known, "key of a step", err)) == 0)
      r = read_steps_of(reading, step, path, reply, 1, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int read_usage(struct reading *reading, const struct mbp_json *value, struct script_reply *reply,
                      struct mbp_error *err)
{
  static const char *const known[] = {"input", "output", "cache_read", "cache_write", NULL};
  const struct mbp_json_v1 *json = reading->json;
  int64_t *places[] = {&reply->usage.input, &reply->usage.output, &reply->usage.cache_read, &reply->usage.cache_write};
  const struct mbp_json *usage = json->get(value, "usage");
  if (!usage)
    return 0;
  if (json->type(usage) != MBP_JSON_OBJECT)
    return llm_error(err, MBP_E_INVALID, "\"usage\" must be an object");
  int r = llm_check_members(json, usage, known, "key of usage", err);
  for (size_t i = 0; known[i] && r == 0; i++)
    r = read_number(json, usage, known[i], 0, (int64_t) 1 << 40, 0, places[i], err);
  reply->has_usage = 1;
  return r;
}

static int read_stop(struct reading *reading, const struct mbp_json *value, struct script_reply *reply,
                     struct mbp_error *err)
{
  static const char *const names[] = {"end_turn",  "tool_use", "max_tokens", "refusal", "pause_turn",
                                      "model_context_window_exceeded", "stop_sequence", NULL};
  struct mbp_str stop = reading->json->str(reading->json->get(value, "stop"));
  if (!reading->json->get(value, "stop"))
    return 0;
  for (uint32_t i = 0; names[i]; i++)
    if (mbp_str_eq(stop, names[i])) {
      reply->stop = i + MBP_STOP_END_TURN;
      return 0;
    }
  return llm_error(err, MBP_E_INVALID, "\"stop\" must be one of end_turn, tool_use, max_tokens, refusal, pause_turn, "
                                       "model_context_window_exceeded, stop_sequence");
}

static int read_reply(struct reading *reading, const struct mbp_json *value, struct script_reply *reply,
                      struct mbp_error *err)
{
  const struct mbp_json_v1 *json = reading->json;
  if (json->type(value) != MBP_JSON_OBJECT)
    return llm_error(err, MBP_E_INVALID, "a reply must be an object");
  int r = read_steps(reading, value, reply, err);
  if (r == 0)
    r = want(json, value, "match", MBP_JSON_STRING, "a string", err);
  if (r == 0)
    r = want(json, value, "model", MBP_JSON_STRING, "a string", err);
  if (r == 0)
    r = want(json, value, "stop_details", MBP_JSON_OBJECT, "an object", err);
  if (r == 0)
    r = read_number(json, value, "repeat", 1, SCRIPT_MAX_REPEAT, 1, &reply->repeat, err);
  if (r == 0)
    r = read_stop(reading, value, reply, err);
  if (r == 0)
    r = read_usage(reading, value, reply, err);
  if (r == 0 && json->get(value, "match"))
    r = copy(json->str(json->get(value, "match")), &reply->match, err);
  if (r == 0 && json->get(value, "model"))
    r = copy(json->str(json->get(value, "model")), &reply->model, err);
  if (r == 0 && json->get(value, "stop_details"))
    r = copy_raw(reading, "stop_details", &reply->stop_details, err);
  return r;
}

static int add_reply(struct reading *reading, const struct mbp_json *value, struct mbp_error *err)
{
  struct script *script = reading->script;
  if ((script->n & (script->n + 1)) == 0) { /* full at 0, 1, 3, 7 ... */
    struct script_reply *replies = realloc(script->replies, (2 * script->n + 1) * sizeof(*replies));
    if (!replies)
      return llm_no_memory(err);
    script->replies = replies;
  }
  script->replies[script->n] = (struct script_reply){.usage = {.size = MBP_SIZE(struct mbp_usage, cache_write)}};
  return read_reply(reading, value, &script->replies[script->n++], err);
}

/* ---- The file ------------------------------------------------------------------------------------------------- */

static size_t line_of(struct mbp_str text, const char *at)
{
  size_t line = 1;
  for (const char *p = text.ptr; p < at; p++)
    line += *p == '\n';
  return line;
}

static int at_line(const char *name, size_t line, struct mbp_error *err)
{
  char place[200];
  (void) snprintf(place, sizeof(place), "%.160s:%zu", name, line);
  llm_error_prefix(err, place);
  if (err->code != MBP_E_NO_MEMORY)
    err->code = MBP_E_INVALID;
  err->flags = 0;
  return -err->code;
}

/* JSON errors tell a byte; people want a line. */
static int syntax_error(const char *name, struct mbp_str whole, struct mbp_str part, struct mbp_error *err)
{
  const char *byte = strstr(err->message, "at byte ");
  size_t offset = byte ? (size_t) strtoull(byte + 8, NULL, 10) : 0;
  return at_line(name, line_of(whole, part.ptr + (offset < part.len ? offset : part.len)), err);
}

/* One reply a line; blank lines and lines that begin with # are left out. */
static int read_lines(struct reading *reading, const char *name, struct mbp_str all, struct mbp_error *err)
{
  for (size_t at = 0; at < all.len;) {
    const char *end = memchr(all.ptr + at, '\n', all.len - at);
    struct mbp_str line = mbp_str_n(all.ptr + at, end ? (size_t) (end - all.ptr) - at : all.len - at);
    struct mbp_json *document = NULL;
    at += line.len + 1;
    if (llm_is_blank(line) || line.ptr[0] == '#')
      continue;
    int r = reading->json->parse(line, &document, err);
    if (r < 0)
      return syntax_error(name, all, line, err);
    reading->text = line;
    reading->place[0] = 0;
    r = add_reply(reading, document, err);
    reading->json->free(document);
    if (r < 0)
      return at_line(name, line_of(all, line.ptr), err);
  }
  return 0;
}

/* `whole` is the file, `all` what of it is the document. */
static int read_document(struct reading *reading, const char *name, struct mbp_str whole, struct mbp_str all,
                         const struct mbp_json *document, struct mbp_error *err)
{
  static const char *const known[] = {"replies", "loop", NULL};
  const struct mbp_json_v1 *json = reading->json;
  int is_array = json->type(document) == MBP_JSON_ARRAY, r = 0;
  const struct mbp_json *replies = is_array ? document : json->get(document, "replies");
  size_t i = 0;
  if (!is_array)
    r = llm_check_members(json, document, known, "key of a script", err);
  if (r == 0 && json->type(replies) != MBP_JSON_ARRAY)
    r = llm_error(err, MBP_E_INVALID, "\"replies\" must be an array");
  if (r < 0)
    return at_line(name, line_of(whole, all.ptr), err);
  reading->script->loop = json->truth(json->get(document, "loop"), 0);
  reading->text = all;
  for (const struct mbp_json *value = json->first(replies); value; value = json->next(value), i++) {
    struct mbp_str raw = all;
    (void) snprintf(reading->place, sizeof(reading->place), "%s%zu", is_array ? "" : "replies/", i);
    (void) json->slice(all, reading->place, &raw);
    (void) snprintf(reading->place, sizeof(reading->place), "%s%zu/", is_array ? "" : "replies/", i);
    if (add_reply(reading, value, err) < 0)
      return at_line(name, line_of(whole, raw.ptr), err);
  }
  return 0;
}

/* The first thing that is neither white space nor a comment line. */
static struct mbp_str skip_comments(struct mbp_str text)
{
  size_t at = 0;
  while (at < text.len) {
    const char *end = memchr(text.ptr + at, '\n', text.len - at);
    size_t len = end ? (size_t) (end - text.ptr) - at : text.len - at;
    if (text.ptr[at] != '#' && !llm_is_blank(mbp_str_n(text.ptr + at, len)))
      break;
    at += len + (end != NULL);
  }
  return text.len ? mbp_str_n(text.ptr + at, text.len - at) : text;
}

int script_parse(const struct mbp_json_v1 *json, const char *name, struct mbp_str text, struct script **ret_script,
                 struct mbp_error *err)
{
  struct script *script = calloc(1, sizeof(*script));
  struct reading reading = {.json = json, .script = script};
  struct mbp_error ignored = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_json *document = NULL;
  if (!script)
    return llm_no_memory(err);
  struct mbp_str body = skip_comments(text);
  int r = json->parse(body, &document, &ignored);
  if (r == 0 && (json->type(document) == MBP_JSON_ARRAY || json->get(document, "replies"))) {
    r = read_document(&reading, name, text, body, document, err);
  } else if (r == 0 && json->type(document) == MBP_JSON_OBJECT) { /* one reply, over any number of lines */
    reading.text = body;
    if ((r = add_reply(&reading, document, err)) < 0)
      r = at_line(name, line_of(text, body.ptr), err);
  } else if (body.len && (body.ptr[0] == '[' || memmem(body.ptr, body.len, "\"replies\"", 9)) && r < 0) {
    *err = ignored;
    r = syntax_error(name, text, body, err);
  } else {
    r = read_lines(&reading, name, text, err);
  }
  json->free(document);
  if (r == 0 && script->n == 0)
    r = llm_error(err, MBP_E_INVALID, "%.160s: the script holds no reply", name);
  if (r < 0) {
    script_free(script);
    return r;
  }
  *ret_script = script;
  return 0;
}

static int read_file(int fd, size_t size, const char *path, struct llm_buf *ret_text, struct mbp_error *err)
{
  char piece[16384], why[128];
  while (ret_text->len <= size) {
    ssize_t n = read(fd, piece, sizeof(piece));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return llm_error(err, MBP_E_INVALID, "script %.200s: cannot be read: %s", path,
                       strerror_r(errno, why, sizeof(why))); /* GNU's: the text, which is not always in `why` */
    if (n == 0)
      break;
    llm_buf_add(ret_text, piece, (size_t) n);
  }
  return ret_text->failed ? llm_no_memory(err) : 0;
}

int script_load(const struct mbp_json_v1 *json, const char *path, struct script **ret_script, struct mbp_error *err)
{
  struct stat st;
  llm_autobuf text = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
  if (fd < 0)
    return llm_error(err, errno == ENOENT ? MBP_E_NOT_FOUND : MBP_E_PERMISSION, "script %.200s: %s", path,
                     errno == ENOENT ? "there is no such file" : "cannot be opened");
  if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
    r = llm_error(err, MBP_E_INVALID, "script %.200s: not a regular file", path);
  else if (st.st_size > (off_t) SCRIPT_MAX_BYTES)
    r = llm_error(err, MBP_E_LIMIT, "script %.200s: larger than %zu MiB", path, SCRIPT_MAX_BYTES >> 20);
  else
    r = read_file(fd, SCRIPT_MAX_BYTES, path, &text, err);
  (void) close(fd);
  return r < 0 ? r : script_parse(json, path, llm_buf_view(&text), ret_script, err);
}

/* ---- Choosing ------------------------------------------------------------------------------------------------- */

/* `*` any run, `?` one byte; the whole text must match. Letters match in either case. */
static int glob(const char *pattern, struct mbp_str text)
{
  const char *star = NULL;
  size_t at = 0, back = 0;
  while (at < text.len) {
    char c = text.ptr[at], p = *pattern;
    if (p == '*') {
      star = pattern++;
      back = at;
    } else if (p && (p == '?' || p == c || ((p | 32) == (c | 32) && (c | 32) >= 'a' && (c | 32) <= 'z'))) {
      pattern++;
      at++;
    } else if (star) {
      pattern = star + 1;
      at = ++back;
    } else {
      return 0;
    }
  }
  while (*pattern == '*')
    pattern++;
  return *pattern == 0;
}

/* The n-th of the replies with this `match`, each counted as often as it repeats. */
static struct script_reply *nth(const struct script *script, const char *match, size_t n)
{
  size_t total = 0;
  for (int round = 0; round < 2; round++) {
    size_t at = 0;
    for (size_t i = 0; i < script->n; i++) {
      struct script_reply *reply = &script->replies[i];
      if (match ? !reply->match || strcmp(match, reply->match) != 0 : reply->match != NULL)
        continue;
      at += (size_t) reply->repeat;
      if (n < at)
        return reply;
    }
    total = at;
    if (!script->loop || total == 0)
      return NULL;
    n %= total;
  }
  return NULL;
}

struct script_reply *script_choose(const struct script *script, struct mbp_str user, size_t assistants, size_t in_turn)
{
  for (size_t i = 0; i < script->n; i++)
    if (script->replies[i].match && glob(script->replies[i].match, user))
      return nth(script, script->replies[i].match, in_turn);
  return nth(script, NULL, assistants);
}
