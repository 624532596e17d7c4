#include "plugins/common/plug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static void fill(struct mbp_error *err, int code, const char *format, va_list args)
{
  if (!err)
    return;
  uint32_t size = err->size;
  memset(err, 0, PLUG_MIN((size_t) size, sizeof(*err)));
  err->size = size;
  err->code = code;
  (void) vsnprintf(err->message, sizeof(err->message), format, args);
  for (char *p = err->message; *p; p++)
    if ((unsigned char) *p < 0x20 || *p == 0x7f)
      *p = ' ';
}

int plug_error(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fill(err, code, format, args);
  va_end(args);
  return -code;
}

static int code_of(int number)
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
  case EXDEV:
    return MBP_E_PERMISSION;
  case EROFS:
  case EBUSY:
    return MBP_E_READ_ONLY;
  case ENOSPC:
  case EDQUOT:
    return MBP_E_NO_SPACE;
  case ENOMEM:
    return MBP_E_NO_MEMORY;
  case EINVAL:
  case ENAMETOOLONG:
  case ELOOP:
  case EISDIR:
    return MBP_E_INVALID;
  case EMFILE:
  case ENFILE:
  case EAGAIN:
  case EFBIG:
    return MBP_E_LIMIT;
  case EPIPE:
    return MBP_E_LOST;
  default:
    return MBP_E_UNAVAILABLE;
  }
}

int plug_errno(struct mbp_error *err, int number, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fill(err, code_of(number), format, args);
  va_end(args);
  if (err) {
    char text[128];
    size_t used = strlen(err->message);
    /* GNU's: the text, which is not always in `text` */
    const char *name = strerror_r(number, text, sizeof(text));
    (void) snprintf(err->message + used, sizeof(err->message) - used, ": %s", name);
  }
  return -code_of(number);
}

int plug_no_memory(struct mbp_error *err)
{
  return plug_error(err, MBP_E_NO_MEMORY, "out of memory");
}

char *plug_dup(struct mbp_str text)
{
  char *copy = malloc(text.len + 1);
  if (!copy)
    return NULL;
  if (text.len)
    memcpy(copy, text.ptr, text.len);
  copy[text.len] = 0;
  return copy;
}

char *plug_printf(const char *format, ...)
{
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int n = vasprintf(&text, format, args);
  va_end(args);
  return n < 0 ? NULL : text;
}

void plug_list_take(struct plug_list *list, char *text)
{
  if (text && list->n + 2 > list->cap) {
    size_t cap = list->cap ? 2 * list->cap : 32;
    char **items = realloc(list->items, cap * sizeof(*items));
    if (items) {
      list->items = items;
      list->cap = cap;
    }
  }
  if (!text || list->n + 2 > list->cap) {
    list->failed = 1;
    free(text);
    return;
  }
  list->items[list->n++] = text;
  list->items[list->n] = NULL;
}

void plug_list_add(struct plug_list *list, const char *text)
{
  plug_list_take(list, plug_dup(mbp_str(text)));
}

void plug_list_free(struct plug_list *list)
{
  for (size_t i = 0; i < list->n; i++)
    free(list->items[i]);
  free(list->items);
  memset(list, 0, sizeof(*list));
}

int plug_check_limits(int64_t memory_bytes, uint32_t pids, uint32_t cpu_millis, struct mbp_error *err)
{
  if (memory_bytes < 0 || (memory_bytes > 0 && memory_bytes < PLUG_LEAST_MEMORY))
    return plug_error(err, MBP_E_INVALID, "a memory limit of %lld bytes is too small for a sandbox: %dM is the least",
                      (long long) memory_bytes, PLUG_LEAST_MEMORY >> 20);
  if (pids && pids < PLUG_LEAST_PIDS)
    return plug_error(err, MBP_E_INVALID, "a limit of %u processes is too small for a sandbox: %d is the least",
                      (unsigned) pids, PLUG_LEAST_PIDS);
  if (cpu_millis && cpu_millis < PLUG_LEAST_CPU)
    return plug_error(err, MBP_E_INVALID, "0.%03u of a processor is too little for a sandbox: 0.%03d is the least",
                      (unsigned) cpu_millis, PLUG_LEAST_CPU);
  return 0;
}

int64_t plug_now_ms(const struct mbp_host *host)
{
  return host->clock_ms(host->ctx, MBP_CLOCK_MONOTONIC);
}

int plug_set_nonblocking(int fd)
{
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
