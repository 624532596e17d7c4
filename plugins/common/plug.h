/* plug.h - what plugins need of the small things, on top of mbp.h alone. */
#ifndef MAG_COMMON_PLUG_H
#define MAG_COMMON_PLUG_H

#include <magent/mbp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static inline void plug_cleanup_free(void *place)
{
  free(*(void **) place);
}
static inline void plug_cleanup_close(int *fd)
{
  if (*fd >= 0)
    (void) close(*fd);
}
#define mag_autofree __attribute__((cleanup(plug_cleanup_free)))
#define mag_autoclose __attribute__((cleanup(plug_cleanup_close)))

#define PLUG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PLUG_ERROR_INIT {.size = MBP_SIZE(struct mbp_error, message)}

/* Copies a struct that came over the interface into a zeroed one of ours. */
#define PLUG_COPY(ours, theirs) memcpy(&(ours), (theirs), PLUG_MIN((size_t) (theirs)->size, sizeof(ours)))

int plug_error(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same from an errno, whose text is appended. */
int plug_errno(struct mbp_error *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));
int plug_no_memory(struct mbp_error *err);

/* 0-terminated copies that the caller frees; NULL without memory. */
char *plug_dup(struct mbp_str text);
char *plug_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A growing NULL-terminated list of owned strings. */
struct plug_list {
  char **items;
  size_t n, cap;
  int failed;
};
void plug_list_add(struct plug_list *list, const char *text);
void plug_list_take(struct plug_list *list, char *text); /* owns `text`; NULL counts as out of memory */
void plug_list_free(struct plug_list *list);

/* The least limits that a sandbox can work with: of the providers' options, and of what a session asks for. */
#define PLUG_LEAST_MEMORY (32 << 20)
#define PLUG_LEAST_PIDS 16
#define PLUG_LEAST_CPU 10 /* thousandths of a processor */
/* Refuses limits below them; 0 is none. */
int plug_check_limits(int64_t memory_bytes, uint32_t pids, uint32_t cpu_millis, struct mbp_error *err);

int64_t plug_now_ms(const struct mbp_host *host);
int plug_set_nonblocking(int fd);

#endif
