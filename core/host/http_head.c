#include "host/http_head.h"

#include <string.h>
#include <strings.h>

void mag_http_head_done(struct mag_http_head *head)
{
  mag_buf_done(&head->lines);
  mag_buf_done(&head->trailers);
}

static int add_line(struct mag_http_head *head, struct mag_buf *lines, const char *line, size_t len)
{
  if (len > MAG_HTTP_HEAD_MAX - head->total)
    return -MBP_E_LIMIT;
  head->total += len;
  while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
    len--;
  if (len == 0)
    return 0;
  mag_buf_add(lines, line, len);
  mag_buf_add_char(lines, '\n');
  return lines->failed ? -MBP_E_NO_MEMORY : 0;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200". */
static int status_of(const char *line, size_t len)
{
  const char *space = memchr(line, ' ', len);
  size_t left = space ? len - (size_t) (space - line) : 0;
  if (left < 4)
    return -1;
  int status = 0;
  for (int i = 1; i <= 3; i++) {
    if (space[i] < '0' || space[i] > '9')
      return -1;
    status = status * 10 + (space[i] - '0');
  }
  if (left > 4 && space[4] >= '0' && space[4] <= '9')
    return -1;
  return status >= 100 ? status : -1;
}

int mag_http_head_line(struct mag_http_head *head, const char *line, size_t len)
{
  if (len < 5 || memcmp(line, "HTTP/", 5) != 0)
    return add_line(head, &head->lines, line, len);
  int status = status_of(line, len);
  if (status < 0)
    return -MBP_E_PROTOCOL;
  mag_buf_clear(&head->lines);
  head->status = status;
  if (len > MAG_HTTP_HEAD_MAX - head->total)
    return -MBP_E_LIMIT;
  head->total += len;
  return 0;
}

int mag_http_head_trailer(struct mag_http_head *head, const char *line, size_t len)
{
  return add_line(head, &head->trailers, line, len);
}

struct mbp_str mag_http_head_find(const struct mag_buf *lines, const char *name)
{
  size_t name_len = strlen(name);
  struct mbp_str all = mag_buf_str(lines);
  const char *at = all.ptr, *end = all.ptr + all.len;
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t) (end - at));
    size_t len = (size_t) ((stop ? stop : end) - at);
    if (len > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0) {
      const char *value = at + name_len + 1, *last = at + len;
      while (value < last && (*value == ' ' || *value == '\t'))
        value++;
      while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
      return mbp_str_n(value, (size_t) (last - value));
    }
    at += len + 1;
  }
  return mbp_str_n("", 0);
}
