#include "sandbox/tool_pattern.h"

#include <string.h>

/* ---- One name ---------------------------------------------------------------------------------------------------- */

static size_t char_len(const char *p)
{
  unsigned char c = (unsigned char) *p;
  size_t want = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4, n = 1;
  while (n < want && ((unsigned char) p[n] & 0xC0) == 0x80)
    n++;
  return n;
}

static uint32_t code_of(const char *p, size_t n)
{
  uint32_t code = 0;
  for (size_t i = 0; i < n; i++)
    code = code << 8 | (unsigned char) p[i]; /* not the code point, but in the same order */
  return code;
}

/* The class at `p` ('['): its end, or NULL if it is none; *ret_in: whether the character is in it. */
static const char *match_class(const char *p, uint32_t c, bool *ret_in)
{
  bool not = p[1] == '!' || p[1] == '^', in = false, first = true;
  for (p += 1 + not; *p && (*p != ']' || first); first = false) {
    size_t n = char_len(p);
    uint32_t low = code_of(p, n), high = low;
    p += n;
    if (p[0] == '-' && p[1] && p[1] != ']') {
      n = char_len(p + 1);
      high = code_of(p + 1, n);
      p += 1 + n;
    }
    in = in || (c >= low && c <= high);
  }
  if (*p != ']')
    return NULL;
  *ret_in = in != not;
  return p + 1;
}

/* Does what stands at *p match one character of the text? Advances both if so. */
static bool match_one(const char **p, const char **text)
{
  size_t n = char_len(*text);
  bool in = false;
  if (!**text)
    return false;
  const char *end = **p == '[' ? match_class(*p, code_of(*text, n), &in) : NULL;
  if (end || **p == '?') {
    if (end && !in)
      return false;
    *p = end ? end : *p + 1;
    *text += n;
    return true;
  }
  const char *literal = **p == '\\' && (*p)[1] ? *p + 1 : *p;
  if (!*literal || *literal != **text)
    return false;
  *p = literal + 1;
  (*text)++;
  return true;
}

/* Only the last star is ever taken back, so the time is at most length times length. */
static bool match_name(const char *p, const char *text)
{
  const char *star = NULL, *resume = NULL;
  while (*text) {
    if (*p == '*') {
      star = ++p;
      resume = text;
    } else if (!match_one(&p, &text)) {
      if (!star)
        return false;
      p = star;
      resume += char_len(resume);
      text = resume;
    }
  }
  while (*p == '*')
    p++;
  return *p == 0;
}

/* ---- Braces ------------------------------------------------------------------------------------------------------ */

/* The end of the alternative at `p`: its ',' or '}', or NULL. */
static const char *alternative_end(const char *p)
{
  for (int depth = 0; *p; p++) {
    if (*p == '\\' && p[1])
      p++;
    else if (*p == '{')
      depth++;
    else if (depth == 0 && (*p == ',' || *p == '}'))
      return p;
    else if (*p == '}')
      depth--;
  }
  return NULL;
}

static const char *first_brace(const char *p)
{
  for (; *p; p++) {
    if (*p == '\\' && p[1])
      p++;
    else if (*p == '{')
      return p;
  }
  return NULL;
}

static bool add_path(struct tool_pattern *pattern, const char *text)
{
  struct pattern_path *path = &pattern->paths[pattern->n];
  memcpy(path->text, text, strlen(text) + 1);
  path->n = 0;
  for (char *p = path->text; *p;) {
    while (*p == '/')
      *p++ = 0;
    if (!*p)
      break;
    char *part = p;
    p += strcspn(p, "/");
    bool dot = p - part == 1 && *part == '.';
    bool again = p - part == 2 && memcmp(part, "**", 2) == 0 && path->n && strcmp(path->parts[path->n - 1], "**") == 0;
    if (dot || again)
      continue;
    if (path->n == PATTERN_PARTS)
      return false;
    path->parts[path->n++] = part;
    if (*p)
      *p++ = 0;
  }
  pattern->n++;
  return path->n > 0;
}

/* Writes the alternatives out one after the other; no recursion deeper than there are braces. */
static const char *expand(struct tool_pattern *pattern, const char *text, int depth)
{
  const char *open = first_brace(text), *end = open ? alternative_end(open + 1) : NULL;
  if (pattern->n == PATTERN_ALTERNATIVES || depth > 8)
    return "too many alternatives in {}";
  if (!open || !end)
    return add_path(pattern, text) ? NULL : "the pattern is empty or has too many parts";
  const char *close = end;
  while (close && *close == ',')
    close = alternative_end(close + 1);
  if (!close)
    return add_path(pattern, text) ? NULL : "the pattern is empty or has too many parts";
  for (const char *at = open + 1;; at = end + 1) {
    char whole[PATTERN_BYTES];
    end = alternative_end(at);
    size_t head = (size_t) (open - text), middle = (size_t) (end - at), tail = strlen(close + 1);
    memcpy(whole, text, head); /* never longer than `text` was */
    memcpy(whole + head, at, middle);
    memcpy(whole + head + middle, close + 1, tail + 1);
    const char *wrong = expand(pattern, whole, depth + 1);
    if (wrong || end == close)
      return wrong;
  }
}

const char *tool_pattern_parse(struct tool_pattern *pattern, const char *text)
{
  pattern->n = 0;
  if (strlen(text) >= PATTERN_BYTES)
    return "the pattern is too long";
  return expand(pattern, text, 0);
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

static bool is_any(const struct pattern_path *path, size_t i)
{
  return i < path->n && strcmp(path->parts[i], "**") == 0;
}

/* Parts before i are matched; a "**" at i may also stand for nothing. */
static uint32_t reach(const struct pattern_path *path, size_t i)
{
  uint32_t set = UINT32_C(1) << i;
  return is_any(path, i) ? set | UINT32_C(1) << (i + 1) : set;
}

void tool_pattern_begin(const struct tool_pattern *pattern, struct tool_progress *progress)
{
  for (size_t a = 0; a < pattern->n; a++)
    progress->sets[a] = reach(&pattern->paths[a], 0);
}

bool tool_pattern_step(const struct tool_pattern *pattern, const struct tool_progress *from, const char *name,
                       struct tool_progress *to, bool *ret_match)
{
  bool more = false;
  *ret_match = false;
  for (size_t a = 0; a < pattern->n; a++) {
    const struct pattern_path *path = &pattern->paths[a];
    uint32_t set = 0;
    for (size_t i = 0; i < path->n; i++) {
      if (!(from->sets[a] >> i & 1))
        continue;
      if (is_any(path, i))
        set |= reach(path, i);
      else if (match_name(path->parts[i], name))
        set |= reach(path, i + 1);
    }
    *ret_match = *ret_match || (set >> path->n & 1);
    to->sets[a] = set;
    more = more || (set & ~(UINT32_C(1) << path->n));
  }
  return more;
}
