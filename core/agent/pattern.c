#include "agent/pattern.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define EXPRESSION_MAX 4096
/* An expression may be as good as endless on a text that was made for it: then there is no answer. */
#define MATCH_LIMIT 1000000
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT_KIB 8192

/* What PCRE2 would take for something else than ECMAScript does, or adds to it. */
static const char *foreign_part(struct mbp_str expression)
{
  for (size_t i = 0; i + 1 < expression.len; i++) {
    char next = expression.ptr[i + 1];
    if (expression.ptr[i] == '\\') {
      if (((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z')) && !strchr("bBcdDfknpPrsStuvwWx", next))
        return "an escape that ECMAScript does not have";
      i++;
    } else if (expression.ptr[i] == '(' && next == '*') {
      return "\"(*\"";
    } else if (expression.ptr[i] == '(' && next == '?') {
      char kind = i + 2 < expression.len ? expression.ptr[i + 2] : 0;
      if (!kind || !strchr(":=!<", kind))
        return "a group that ECMAScript does not have";
    }
  }
  return NULL;
}

int mag_pattern_new(struct mbp_str expression, struct mag_pattern **ret_pattern, struct mbp_error *err)
{
  const char *foreign = foreign_part(expression);
  int shown = (int) (expression.len < 60 ? expression.len : 60), fault = 0;
  if (expression.len > EXPRESSION_MAX)
    return mag_error(err, MBP_E_LIMIT, "a pattern is longer than %d bytes", EXPRESSION_MAX);
  if (foreign)
    return mag_error(err, MBP_E_INVALID, "pattern \"%.*s\" has %s", shown, expression.ptr, foreign);
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (!context)
    return mag_error_no_memory(err);
  (void) pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
  (void) pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
  PCRE2_SIZE at = 0;
  pcre2_code *code =
      pcre2_compile((PCRE2_SPTR) expression.ptr, expression.len,
                    PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |
                        PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
                    &fault, &at, context);
  pcre2_compile_context_free(context);
  if (!code) {
    char why[120] = "";
    (void) pcre2_get_error_message(fault, (PCRE2_UCHAR *) why, sizeof(why));
    return mag_error(err, MBP_E_INVALID, "pattern \"%.*s\", at byte %zu: %s", shown, expression.ptr, (size_t) at, why);
  }
  *ret_pattern = (struct mag_pattern *) (void *) code;
  return 0;
}

void mag_pattern_free(struct mag_pattern *pattern)
{
  pcre2_code_free((pcre2_code *) (void *) pattern);
}

int mag_pattern_match(const struct mag_pattern *pattern, struct mbp_str text)
{
  const pcre2_code *code = (const pcre2_code *) (const void *) pattern;
  pcre2_match_context *context = pcre2_match_context_create(NULL);
  pcre2_match_data *data = pcre2_match_data_create(1, NULL);
  int r = PCRE2_ERROR_NOMEMORY;
  if (context && data) {
    (void) pcre2_set_match_limit(context, MATCH_LIMIT);
    (void) pcre2_set_depth_limit(context, DEPTH_LIMIT);
    (void) pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    r = pcre2_match(code, (PCRE2_SPTR) text.ptr, text.len, 0, 0, data, context);
  }
  pcre2_match_data_free(data);
  pcre2_match_context_free(context);
  return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -MBP_E_LIMIT;
}

#else

int mag_pattern_new(struct mbp_str expression, struct mag_pattern **ret_pattern, struct mbp_error *err)
{
  (void) expression;
  (void) ret_pattern;
  return mag_error(err, MBP_E_UNSUPPORTED, "pattern cannot be checked: this magent was built without libpcre2");
}

void mag_pattern_free(struct mag_pattern *pattern)
{
  (void) pattern;
}

int mag_pattern_match(const struct mag_pattern *pattern, struct mbp_str text)
{
  (void) pattern;
  (void) text;
  return -MBP_E_LIMIT;
}

#endif
