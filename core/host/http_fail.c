/* What the status and headers of an unwanted response mean to the caller. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/http_private.h"
#include "host/http_head.h"

#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S 31536000

static int code_of_status(int status)
{
  switch (status) {
  case 401:
    return MBP_E_AUTH;
  case 402:
    return MBP_E_BILLING;
  case 403:
    return MBP_E_PERMISSION;
  case 404:
  case 410:
    return MBP_E_NOT_FOUND;
  case 408:
    return MBP_E_TIMEOUT;
  case 409:
    return MBP_E_CONFLICT;
  case 413:
    return MBP_E_LIMIT;
  case 429:
    return MBP_E_RATE;
  case 503:
  case 529:
    return MBP_E_OVERLOADED;
  default:
    return status >= 500 ? MBP_E_UPSTREAM : status >= 400 ? MBP_E_INVALID : MBP_E_PROTOCOL;
  }
}

static bool is_retryable(const struct mag_http_head *head)
{
  struct mbp_str told = mag_http_head_find(&head->lines, "x-should-retry");
  if (told.len == 4 && strncasecmp(told.ptr, "true", 4) == 0)
    return true;
  if (told.len == 5 && strncasecmp(told.ptr, "false", 5) == 0)
    return false;
  int status = head->status;
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

/* Decimal digits with an optional fraction, times 1000 / unit; -1 if it is something else. */
static int64_t decimal_ms(struct mbp_str text, int64_t per_unit)
{
  int64_t whole = 0;
  size_t i = 0;
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
    whole = MAG_MIN(whole * 10 + (text.ptr[i] - '0'), (int64_t) RETRY_AFTER_MAX_S * 1000);
  if (i == 0)
    return -1;
  int64_t ms = whole * per_unit, scale = per_unit;
  if (i < text.len && text.ptr[i] == '.')
    for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
      scale /= 10;
      ms += scale * (text.ptr[i] - '0');
    }
  return i == text.len ? MAG_MIN(ms, (int64_t) RETRY_AFTER_MAX_S * 1000) : -1;
}

/* 0: not told. "At once" is 1 ms, so that it is not taken for that. */
static int64_t retry_after(const struct mag_http_head *head)
{
  int64_t ms = decimal_ms(mag_http_head_find(&head->lines, "retry-after-ms"), 1);
  if (ms >= 0)
    return MAG_MAX(ms, (int64_t) 1);
  struct mbp_str text = mag_http_head_find(&head->lines, "retry-after");
  if (text.len == 0 || text.len > 64)
    return 0;
  ms = decimal_ms(text, 1000);
  if (ms >= 0)
    return MAG_MAX(ms, (int64_t) 1);
  char date[65];
  memcpy(date, text.ptr, text.len);
  date[text.len] = 0;
  int64_t when = mag_http_date_s(date);
  if (when < 0)
    return 0;
  ms = (MAG_MIN(when, mag_clock_wall_ms() / 1000 + RETRY_AFTER_MAX_S)) * 1000 - mag_clock_wall_ms();
  return MAG_MAX(ms, (int64_t) 1);
}

static void copy_request_id(const struct mag_http_head *head, struct mbp_error *err)
{
  struct mbp_str id = mag_http_head_find(&head->lines, "request-id");
  if (id.len == 0)
    id = mag_http_head_find(&head->lines, "x-request-id");
  size_t n = 0;
  for (size_t i = 0; i < id.len && n < sizeof(err->upstream_request) - 1; i++)
    if (id.ptr[i] > 0x20 && id.ptr[i] < 0x7f)
      err->upstream_request[n++] = id.ptr[i];
  err->upstream_request[n] = 0;
}

int mag_http_head_fail(const struct mag_http_head *head, const char *what, struct mbp_str message,
                       struct mbp_error *err)
{
  int code = code_of_status(head->status);
  if (!err)
    return -code;
  size_t len = MAG_MIN(message.len, sizeof(err->message));
  if (len > 0)
    (void) mag_error(err, code, "%s: %.*s", what, (int) len, message.ptr);
  else
    (void) mag_error(err, code, "%s: HTTP status %d%s", what, head->status,
                     head->status / 100 == 3 ? ": it leads elsewhere, and is not followed there; correct the URL" : "");
  err->upstream_status = head->status;
  err->flags = is_retryable(head) ? MBP_ERR_RETRYABLE : 0;
  err->retry_after_ms = retry_after(head);
  copy_request_id(head, err);
  return -code;
}
