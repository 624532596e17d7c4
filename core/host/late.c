#include "host/late.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "host/redact.h"

#include <stdlib.h>
#include <string.h>

static bool is_name_byte(char c, bool first)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool mag_late_wanted(struct mbp_str text)
{
  return text.len && memmem(text.ptr, text.len, "${", 2) != NULL;
}

/* Finds the next "${" from *at on: everything before it, and the name in it (NULL for "$${", which is kept in `before`
 * without its first "$"). false: no more, `before` is the rest. */
static int next(struct mbp_str text, size_t *at, struct mbp_str *ret_before, struct mbp_str *ret_name,
                struct mbp_error *err)
{
  const char *start = text.ptr + *at, *found = memmem(start, text.len - *at, "${", 2);
  *ret_name = mbp_str_n(NULL, 0);
  if (!found) {
    *ret_before = mbp_str_n(start, text.len - *at);
    *at = text.len;
    return 0;
  }
  *ret_before = mbp_str_n(start, (size_t) (found - start));
  size_t from = (size_t) (found - text.ptr) + 2, len = 0;
  if (found > start && found[-1] == '$') { /* the first "$" is shown, the second one is the escape */
    *at = from;
    return 0;
  }
  while (from + len < text.len && is_name_byte(text.ptr[from + len], len == 0))
    len++;
  if (len == 0 || from + len >= text.len || text.ptr[from + len] != '}')
    return mag_error(err, MBP_E_INVALID,
                     "\"${\" begins a reference such as ${NAME}; write \"$${\" where it is meant as it is");
  *ret_name = mbp_str_n(text.ptr + from, len);
  *at = from + len + 1;
  return 0;
}

int mag_late_check(struct mbp_str text, struct mbp_error *err)
{
  struct mbp_str before, name;
  int r = 0;
  for (size_t at = 0; at < text.len && r == 0;)
    r = next(text, &at, &before, &name, err);
  return r;
}

bool mag_late_wants_key(struct mbp_str text)
{
  struct mbp_str before, name;
  bool wanted = false;
  for (size_t at = 0; at < text.len && !wanted && next(text, &at, &before, &name, NULL) == 0;)
    wanted = name.len && mag_redact_is_variable(name);
  return wanted;
}

static int fill_in(struct mag_buf *out, struct mbp_str name, struct mbp_error *err)
{
  mag_autofree char *variable = mag_str_dup(name);
  if (!variable)
    return mag_error_no_memory(err);
  const char *value = secure_getenv(variable);
  if (!value)
    return mag_error(err, MBP_E_NOT_FOUND, "the environment variable %.80s is not set", variable);
  mag_redact_add_lent(mbp_str(value));
  mag_buf_add_text(out, value);
  return 0;
}

int mag_late_resolve(struct mbp_str text, char **ret_text, struct mbp_error *err)
{
  mag_autobuf out = MAG_BUF_INIT;
  struct mbp_str before, name;
  for (size_t at = 0; at < text.len;) {
    size_t last = at;
    int r = next(text, &at, &before, &name, err);
    mag_buf_add_str(&out, before);
    if (r == 0 && name.len)
      r = fill_in(&out, name, err);
    else if (r == 0 && last + before.len < at)
      mag_buf_add_char(&out, '{'); /* "$${": its first "$" stands in `before` */
    if (r < 0)
      return r;
  }
  char *filled = out.len ? mag_buf_take(&out) : mag_str_dup(mbp_str(""));
  if (!filled)
    return mag_error_no_memory(err);
  *ret_text = filled;
  return 0;
}
