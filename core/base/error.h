/* error.h - the one error idiom: a function returns 0 or a negative MBP_E_* code and takes the error struct last.
 *
 * On failure outputs are untouched. Who adds knowledge wraps: "open session 'x': database is locked".
 */
#ifndef MAG_BASE_ERROR_H
#define MAG_BASE_ERROR_H

#include <magent/mbp.h>
#include <stdarg.h>

/* An empty error, ready to be passed. */
#define MAG_ERROR_INIT {.size = MBP_SIZE(struct mbp_error, message)}

/* Fills `err` (NULL allowed) and returns -code. The message is cut to one line of valid UTF-8. */
int mag_error(struct mbp_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int mag_error_v(struct mbp_error *err, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* The same from an errno: picks the code and appends the system's text. */
int mag_error_errno(struct mbp_error *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message; keeps everything else. Returns -err->code, or -MBP_E_INTERNAL without one. */
int mag_error_wrap(struct mbp_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies an error that came over the interface, whatever its size; NULL gives MBP_E_INTERNAL. Returns -code. */
int mag_error_import(struct mbp_error *err, const struct mbp_error *from);

int mag_error_no_memory(struct mbp_error *err);

void mag_error_clear(struct mbp_error *err);

/* "rate", "auth", ... for machine-readable output; static. */
const char *mag_error_name(int code);

/* Text of an errno, thread-safe; static or in the caller's buffer. */
const char *mag_errno_text(int number, char *buf, size_t cap);

#endif
