#include "embed/files.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/id.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int64_t read_some(void *ctx, void *buf, size_t cap)
{
  ssize_t n;
  do
    n = read(*(int *) ctx, buf, cap);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -MBP_E_INTERNAL : n;
}

int embed_file_open(const char *path, int *ret_fd, struct mbp_put *ret_put, struct mbp_error *err)
{
  struct stat st;
  mag_autoclose int fd =
      open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe is refused, not waited for */
  if (fd < 0 || fstat(fd, &st) < 0)
    return mag_error_errno(err, errno, "%s", path);
  if (!S_ISREG(st.st_mode))
    return mag_error(err, MBP_E_INVALID, "%s: not a regular file", path);
  *ret_put = (struct mbp_put){
      .size = MBP_SIZE(struct mbp_put, ctx), .mode = st.st_mode & 0777, .length = st.st_size, .read = read_some};
  *ret_fd = mag_steal_fd(&fd);
  return 0;
}

int embed_file_create(struct embed_file *file, const char *path, struct mbp_error *err)
{
  char random[9];
  mag_id_random(random, 8);
  *file = (struct embed_file){.path = path, .beside = mag_sprintf("%s.%s.part", path, random), .expected = -1};
  if (!file->beside)
    return mag_error_no_memory(err);
  file->fd = open(file->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0666);
  if (file->fd >= 0)
    return 0;
  int number = errno;
  free(mag_steal(&file->beside));
  return mag_error_errno(err, number, "%s", path);
}

int embed_file_add(struct embed_file *file, struct mbp_str data)
{
  while (data.len && file->number == 0) {
    ssize_t n = write(file->fd, data.ptr, data.len);
    if (n < 0 && errno != EINTR)
      file->number = errno;
    if (n > 0) {
      file->length += n;
      data = mbp_str_n(data.ptr + n, data.len - (size_t) n);
    }
  }
  return file->number ? -MBP_E_NO_SPACE : 0;
}

/* Who may read it may execute it, if somebody could inside; nothing else of the mode comes out of a sandbox. */
static void make_executable(int fd)
{
  struct stat st;
  if (fstat(fd, &st) == 0)
    (void) fchmod(fd, (st.st_mode & 0777) | ((st.st_mode & 0444) >> 2));
}

int embed_file_finish(struct embed_file *file, int r, struct mbp_error *err)
{
  if (file->number)
    r = mag_error_errno(err, file->number, "%s", file->path);
  else if (r == 0 && file->expected >= 0 && file->expected != file->length)
    r = mag_error(err, MBP_E_PROTOCOL, "%s: %lld bytes came of %lld", file->path, (long long) file->length,
                  (long long) file->expected);
  if (file->mode & 0111)
    make_executable(file->fd);
  if (close(file->fd) < 0 && r == 0)
    r = mag_error_errno(err, errno, "%s", file->path);
  if (r == 0 && rename(file->beside, file->path) < 0)
    r = mag_error_errno(err, errno, "%s", file->path);
  if (r < 0)
    (void) unlink(file->beside);
  free(mag_steal(&file->beside));
  return r;
}

int embed_file_write(void *ctx, const struct mbp_event *event)
{
  return event->type == MBP_EV_FILE_DATA ? embed_file_add(ctx, event->data) : 0;
}

int embed_file_info(void *ctx, const void *result, struct mbp_error *err)
{
  struct embed_file *file = ctx;
  const struct mbp_file_info *info = result;
  (void) err;
  if (info && MBP_HAS(info, struct mbp_file_info, length)) {
    file->mode = info->mode;
    file->expected = info->length;
  }
  return 0;
}
