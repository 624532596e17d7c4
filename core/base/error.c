#include "base/error.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    "ok",        "invalid",     "not_found",   "exists",      "conflict",    "auth",       "permission",
    "billing",   "rate",        "overloaded",  "unavailable", "network",     "protocol",   "timeout",
    "cancelled", "unsupported", "limit",       "no_space",    "no_memory",   "busy",       "corrupt",
    "read_only", "lost",        "upstream",    "internal",
};

const char *mag_error_name(int code)
{
  if (code < 0)
    code = -code;
  return (size_t) code < sizeof(names) / sizeof(names[0]) ? names[code] : "unknown";
}

void mag_error_clear(struct mbp_error *err)
{
  if (!err)
    return;
  memset(err, 0, sizeof(*err));
  err->size = MBP_SIZE(struct mbp_error, message);
}

/* Messages are shown to people and stored: one line, no control characters (C1, in UTF-8 C2 80..9F, too), no half
 * characters. */
static void tidy(char *message)
{
  size_t valid = mag_utf8_valid_prefix(message, strlen(message)), to = 0;
  for (size_t from = 0; from < valid; from++) {
    unsigned char c = (unsigned char) message[from];
    bool c1 = c == 0xc2 && (unsigned char) message[from + 1] < 0xa0;
    message[to++] = c1 || c < 0x20 || c == 0x7f ? ' ' : (char) c;
    from += c1;
  }
  message[to] = 0;
}

int mag_error_v(struct mbp_error *err, int code, const char *format, va_list args)
{
  if (err) {
    mag_error_clear(err);
    err->code = code;
    (void) vsnprintf(err->message, sizeof(err->message), format, args);
    tidy(err->message);
  }
  return -code;
}

int mag_error(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int r = mag_error_v(err, code, format, args);
  va_end(args);
  return r;
}

int mag_error_no_memory(struct mbp_error *err)
{
  return mag_error(err, MBP_E_NO_MEMORY, "out of memory");
}

const char *mag_errno_text(int number, char *buf, size_t cap)
{
  return strerror_r(number, buf, cap); /* GNU's: the text, which is not always in `buf` */
}

static int code_of_errno(int number)
{
  switch (number) {
  case ENOENT:
  case ENOTDIR:
  case ESRCH:
    return MBP_E_NOT_FOUND;
  case EEXIST:
    return MBP_E_EXISTS;
  case EACCES:
  case EPERM:
    return MBP_E_PERMISSION;
  case EROFS:
    return MBP_E_READ_ONLY;
  case ENOSPC:
  case EDQUOT:
    return MBP_E_NO_SPACE;
  case ENOMEM:
    return MBP_E_NO_MEMORY;
  case EBUSY:
  case ETXTBSY:
    return MBP_E_BUSY;
  case EINVAL:
  case ENAMETOOLONG:
  case ELOOP:
  case EISDIR:
    return MBP_E_INVALID;
  case ETIMEDOUT:
    return MBP_E_TIMEOUT;
  case ECONNREFUSED:
  case ECONNRESET:
  case EPIPE:
  case ENETUNREACH:
  case EHOSTUNREACH:
    return MBP_E_NETWORK;
  case EMFILE:
  case ENFILE:
  case EAGAIN:
  case EFBIG:
    return MBP_E_LIMIT;
  case ENOSYS:
  case EOPNOTSUPP:
    return MBP_E_UNSUPPORTED;
  default:
    return MBP_E_UNAVAILABLE;
  }
}

int mag_error_errno(struct mbp_error *err, int number, const char *format, ...)
{
  int code = code_of_errno(number);
  if (!err)
    return -code;
  va_list args;
  va_start(args, format);
  mag_error_v(err, code, format, args);
  va_end(args);
  char text[128];
  size_t used = strlen(err->message);
  (void) snprintf(err->message + used, sizeof(err->message) - used, ": %s", mag_errno_text(number, text, sizeof(text)));
  tidy(err->message);
  return -code;
}

int mag_error_wrap(struct mbp_error *err, const char *format, ...)
{
  if (!err)
    return -MBP_E_INTERNAL;
  char old[sizeof(err->message)], context[256];
  memcpy(old, err->message, sizeof(old));
  old[sizeof(old) - 1] = 0;
  va_list args;
  va_start(args, format);
  (void) vsnprintf(context, sizeof(context), format, args);
  va_end(args);
  /* The cause matters more than the context, so the context is what a long message loses. */
  size_t old_len = strlen(old), context_len = strlen(context), room = sizeof(err->message) - 1 - old_len;
  if (room > 2) {
    context_len = MAG_MIN_SIZE(context_len, room - 2);
    memcpy(err->message, context, context_len);
    memcpy(err->message + context_len, ": ", 2);
    memcpy(err->message + context_len + 2, old, old_len + 1);
  }
  tidy(err->message);
  return err->code ? -err->code : -MBP_E_INTERNAL;
}

int mag_error_import(struct mbp_error *err, const struct mbp_error *from)
{
  if (!from)
    return mag_error(err, MBP_E_INTERNAL, "failed without saying why");
  struct mbp_error copy;
  memset(&copy, 0, sizeof(copy));
  memcpy(&copy, from, MAG_MIN_SIZE(from->size, sizeof(copy)));
  copy.size = MBP_SIZE(struct mbp_error, message);
  copy.message[sizeof(copy.message) - 1] = 0;
  copy.upstream_request[sizeof(copy.upstream_request) - 1] = 0;
  tidy(copy.message);
  tidy(copy.upstream_request);
  if (copy.code <= 0)
    copy.code = copy.code < 0 ? -copy.code : MBP_E_INTERNAL;
  if (err)
    *err = copy;
  return -copy.code;
}
