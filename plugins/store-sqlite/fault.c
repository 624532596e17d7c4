/* Errors: SQLite's codes as magent's, with the file's name and what to do. */
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void store_error_init(struct mbp_error *err)
{
  memset(err, 0, sizeof(*err));
  err->size = MBP_SIZE(struct mbp_error, message);
}

int store_error(struct mbp_error *err, int code, const char *format, ...)
{
  va_list args;
  if (!err)
    return -code;
  store_error_init(err);
  err->code = code;
  if (code == MBP_E_BUSY)
    err->flags = MBP_ERR_RETRYABLE;
  va_start(args, format);
  (void) vsnprintf(err->message, sizeof(err->message), format, args);
  va_end(args);
  return -code;
}

int store_no_memory(struct mbp_error *err)
{
  return store_error(err, MBP_E_NO_MEMORY, "out of memory");
}

static bool means_full(int number)
{
  return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

static int io_fault(const char *path, int code, int number, struct mbp_error *err)
{
  char text[100];
  if (code == SQLITE_IOERR_NOMEM)
    return store_no_memory(err);
  if (number == EROFS)
    return store_error(err, MBP_E_READ_ONLY, "%.250s: the file system is read-only", path);
  /* Growing the shared-memory file is the one write whose errno SQLite does not keep. */
  if (means_full(number) || (number == 0 && code == SQLITE_IOERR_SHMSIZE))
    return store_error(err, MBP_E_NO_SPACE, "%.250s: %s; nothing was written: make space and try again", path,
                       number == EDQUOT  ? "the disk quota is used up"
                       : number == EFBIG ? "the limit of a file's size is reached"
                                         : "the disk is full");
  if (number == 0)
    return store_error(err, MBP_E_UNAVAILABLE, "%.250s: the disk failed (SQLite error %d); nothing was written", path,
                       code);
  return store_error(err, MBP_E_UNAVAILABLE, "%.250s: %s (SQLite error %d); nothing was written", path,
                     strerror_r(number, text, sizeof(text)), code);
}

static int open_fault(const char *path, int number, struct mbp_error *err)
{
  char text[100];
  if (means_full(number))
    return store_error(err, MBP_E_NO_SPACE, "%.250s: the disk is full: make space and try again", path);
  if (number == EACCES || number == EPERM)
    return store_error(err, MBP_E_PERMISSION, "%.250s: permission denied: check owner and mode of file and directory",
                       path);
  if (number == EMFILE || number == ENFILE)
    return store_error(err, MBP_E_LIMIT, "%.250s: too many open files: raise the limit (ulimit -n)", path);
  return store_error(err, number == ENOENT ? MBP_E_NOT_FOUND : MBP_E_UNAVAILABLE, "%.250s: cannot be opened: %s", path,
                     number ? strerror_r(number, text, sizeof(text)) : "not a file that SQLite can use");
}

int store_fault_of(const char *path, int code, int number, const char *text, struct mbp_error *err)
{
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_PROTOCOL:
    return store_error(err, MBP_E_BUSY,
                       "%.250s is locked by another program: try again, or see which with `fuser -v` on this file",
                       path);
  case SQLITE_FULL:
    return store_error(err, MBP_E_NO_SPACE, "%.250s: the disk is full; nothing was written: make space and try again",
                       path);
  case SQLITE_NOTADB:
    return store_error(err, MBP_E_CORRUPT,
                       "%.250s is not a database (or its first page is damaged): move it aside, or set another path",
                       path);
  case SQLITE_CORRUPT:
    return store_error(err, MBP_E_CORRUPT,
                       "%.200s is damaged: copy it and its -wal file aside, then rescue what can be read: "
                       "sqlite3 COPY .recover | sqlite3 NEW",
                       path);
  case SQLITE_READONLY:
    return store_error(err, MBP_E_READ_ONLY,
                       "%.250s may be read, not written: check owner and mode of the file and its directory", path);
  case SQLITE_CANTOPEN:
    return open_fault(path, number, err);
  case SQLITE_PERM:
  case SQLITE_AUTH:
    return store_error(err, MBP_E_PERMISSION, "%.250s: permission denied", path);
  case SQLITE_NOMEM:
    return store_no_memory(err);
  case SQLITE_TOOBIG:
    return store_error(err, MBP_E_LIMIT, "%.250s: text is too large for the database", path);
  case SQLITE_IOERR:
    return io_fault(path, code, number, err);
  default:
    return store_error(err, MBP_E_INTERNAL, "%.200s: SQLite error %d: %.150s", path, code, text);
  }
}

int store_fault(struct store_conn *conn, int code, struct mbp_error *err)
{
  /* SQLite keeps the errno of an open, but not that of a commit, which is still the thread's. */
  int number = (code & 0xff) == SQLITE_IOERR && errno ? errno : sqlite3_system_errno(conn->db);
  /* The first failure is the cause; what follows it is its consequence. */
  if (!conn->fault)
    conn->fault = code;
  return store_fault_of(conn->instance->path, code, number, sqlite3_errmsg(conn->db), err);
}
