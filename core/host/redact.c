#include "host/redact.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LEAST 8

/* All forms of all secrets. They are kept until the process ends: a secret of a closed plugin may still come back. */
static struct {
  pthread_rwlock_t lock;
  char **forms;
  size_t *lengths;
  bool *lent; /* may go into a sandbox */
  size_t n;
  char **variables;
  size_t n_variables;
} known = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static void add_form(const char *form, size_t len, bool lent)
{
  if (len < LEAST)
    return;
  for (size_t i = 0; i < known.n; i++)
    if (known.lengths[i] == len && memcmp(known.forms[i], form, len) == 0) {
      known.lent[i] &= lent;
      return;
    }
  char **forms = realloc(known.forms, (known.n + 1) * sizeof(*forms));
  if (forms)
    known.forms = forms;
  size_t *lengths = realloc(known.lengths, (known.n + 1) * sizeof(*lengths));
  if (lengths)
    known.lengths = lengths;
  bool *lents = realloc(known.lent, (known.n + 1) * sizeof(*lents));
  if (lents)
    known.lent = lents;
  char *copy = mag_str_dup(mbp_str_n(form, len));
  if (!forms || !lengths || !lents || !copy) {
    free(copy);
    return;
  }
  known.forms[known.n] = copy;
  known.lent[known.n] = lent;
  known.lengths[known.n++] = len;
}

/* The part of base64(prefix of `shift` bytes + secret) that depends on the secret alone. */
static void add_base64(struct mbp_str secret, size_t shift, const char *alphabet, bool lent)
{
  mag_autobuf out = MAG_BUF_INIT;
  unsigned bits = 0, have = 0;
  for (size_t i = 0; i < shift + secret.len; i++) {
    bits = bits << 8 | (i < shift ? 0u : (unsigned char) secret.ptr[i - shift]);
    have += 8;
    while (have >= 6) {
      have -= 6;
      mag_buf_add_char(&out, alphabet[bits >> have & 63]);
    }
  }
  size_t skip = (shift * 8 + 5) / 6;
  if (!out.failed && out.len > skip)
    add_form(out.ptr + skip, out.len - skip, lent);
}

static void add_percent(struct mbp_str secret, const char *hex, bool lent)
{
  mag_autobuf out = MAG_BUF_INIT;
  for (size_t i = 0; i < secret.len; i++) {
    unsigned char c = (unsigned char) secret.ptr[i];
    if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("-._~", c))) {
      mag_buf_add_char(&out, (char) c);
    } else {
      char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
      mag_buf_add(&out, escape, 3);
    }
  }
  if (!out.failed)
    add_form(out.ptr, out.len, lent);
}

static void add_json(struct mbp_str secret, bool lent)
{
  mag_autowriter writer = mag_writer_new();
  struct mbp_str text;
  mag_writer_string(writer, NULL, secret);
  if (mag_writer_text(writer, &text) == 0)
    add_form(text.ptr + 1, text.len - 2, lent);
}

static void add(struct mbp_str secret, bool lent)
{
  static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (secret.len < LEAST)
    return;
  pthread_rwlock_wrlock(&known.lock);
  add_form(secret.ptr, secret.len, lent);
  for (size_t shift = 0; shift < 3; shift++) {
    add_base64(secret, shift, standard, lent);
    add_base64(secret, shift, url_safe, lent);
  }
  add_percent(secret, "0123456789ABCDEF", lent);
  add_percent(secret, "0123456789abcdef", lent);
  add_json(secret, lent);
  pthread_rwlock_unlock(&known.lock);
}

void mag_redact_add(struct mbp_str secret)
{
  add(secret, /* lent= */ false);
}

void mag_redact_add_lent(struct mbp_str secret)
{
  add(secret, /* lent= */ true);
}

/* An address that nobody is let in by. Messages tell which one cannot be reached. */
static bool is_plain_address(const char *value)
{
  return (strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0) && !strpbrk(value, "@?#");
}

static bool is_variable(struct mbp_str name)
{
  bool found = false;
  for (size_t i = 0; i < known.n_variables && !found; i++)
    found = mbp_str_eq(name, known.variables[i]);
  return found;
}

void mag_redact_add_variable(const char *name)
{
  const char *value = secure_getenv(name);
  if (value && !is_plain_address(value))
    mag_redact_add(mbp_str(value));
  pthread_rwlock_wrlock(&known.lock);
  if (!is_variable(mbp_str(name))) {
    char **variables = realloc(known.variables, (known.n_variables + 1) * sizeof(*variables));
    char *copy = mag_str_dup(mbp_str(name));
    if (variables)
      known.variables = variables;
    if (variables && copy)
      known.variables[known.n_variables++] = copy;
    else
      free(copy);
  }
  pthread_rwlock_unlock(&known.lock);
}

bool mag_redact_is_variable(struct mbp_str name)
{
  pthread_rwlock_rdlock(&known.lock);
  bool found = is_variable(name);
  pthread_rwlock_unlock(&known.lock);
  return found;
}

/* The earliest form in `text`, or NULL. The lock is held. */
static const char *find(struct mbp_str text, size_t *ret_len)
{
  const char *best = NULL;
  for (size_t i = 0; i < known.n; i++) {
    size_t room = best ? MAG_MIN((size_t) (best - text.ptr) + known.lengths[i], text.len) : text.len;
    const char *found = text.len ? memmem(text.ptr, room, known.forms[i], known.lengths[i]) : NULL;
    if (found && (!best || found < best || known.lengths[i] > *ret_len)) {
      best = found;
      *ret_len = known.lengths[i];
    }
  }
  return best;
}

bool mag_redact_is_key(struct mbp_str text)
{
  bool is_key = false;
  pthread_rwlock_rdlock(&known.lock);
  for (size_t i = 0; i < known.n && text.len && !is_key; i++)
    is_key = !known.lent[i] && memmem(text.ptr, text.len, known.forms[i], known.lengths[i]);
  pthread_rwlock_unlock(&known.lock);
  return is_key;
}

bool mag_redact_wanted(struct mbp_str text)
{
  size_t len = 0;
  pthread_rwlock_rdlock(&known.lock);
  bool wanted = find(text, &len) != NULL;
  pthread_rwlock_unlock(&known.lock);
  return wanted;
}

void mag_redact_into(struct mag_buf *out, struct mbp_str text)
{
  const char *found;
  size_t len = 0;
  pthread_rwlock_rdlock(&known.lock);
  while ((found = find(text, &len))) {
    mag_buf_add(out, text.ptr, (size_t) (found - text.ptr));
    mag_buf_add_text(out, MAG_REDACTED);
    text.len -= (size_t) (found - text.ptr) + len;
    text.ptr = found + len;
  }
  pthread_rwlock_unlock(&known.lock);
  mag_buf_add_str(out, text);
}

char *mag_redact_text(char *text)
{
  if (!text || !mag_redact_wanted(mbp_str(text)))
    return text;
  struct mag_buf clean = MAG_BUF_INIT;
  mag_redact_into(&clean, mbp_str(text));
  free(text);
  return mag_buf_take(&clean);
}

void mag_redact_error(struct mbp_error *err)
{
  if (!err || !mag_redact_wanted(mbp_str(err->message)))
    return;
  mag_autobuf clean = MAG_BUF_INIT;
  mag_redact_into(&clean, mbp_str(err->message));
  size_t len = mag_utf8_valid_prefix(clean.ptr ? clean.ptr : "", MAG_MIN(clean.len, sizeof(err->message) - 1));
  (void) snprintf(err->message, sizeof(err->message), "%.*s", clean.failed ? 0 : (int) len, clean.ptr ? clean.ptr : "");
}

/* Length of the longest end of `text` that a secret begins with. The lock is held. */
static size_t beginning(struct mbp_str text)
{
  size_t best = 0;
  for (size_t i = 0; i < known.n; i++)
    for (size_t n = MAG_MIN(known.lengths[i] - 1, text.len); n > best; n--)
      if (memcmp(text.ptr + text.len - n, known.forms[i], n) == 0)
        best = n;
  return best;
}

void mag_redact_piece(struct mag_buf *held, struct mbp_str piece, struct mag_buf *out)
{
  mag_autobuf clean = MAG_BUF_INIT;
  mag_buf_add_str(held, piece);
  mag_redact_into(&clean, mag_buf_str(held));
  pthread_rwlock_rdlock(&known.lock);
  size_t keep = beginning(mag_buf_str(&clean));
  pthread_rwlock_unlock(&known.lock);
  mag_buf_clear(held);
  if (clean.failed)
    return; /* without memory nothing is shown, rather than too much */
  mag_buf_add(out, clean.ptr, clean.len - keep);
  mag_buf_add(held, clean.ptr + clean.len - keep, keep);
}
