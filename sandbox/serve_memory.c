/* What the memory limit has done, as a container sees it. */
#include "sandbox/serve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_file(const char *path, char *text, size_t cap)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
  if (fd >= 0)
    (void) close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

int64_t memory_kills(void)
{
  static const char *const paths[] = {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"};
  char text[1024];
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
    const char *at = read_file(paths[i], text, sizeof(text)) ? strstr(text, "oom_kill ") : NULL;
    if (at)
      return strtoll(at + 9, NULL, 10);
  }
  return -1;
}

int64_t memory_peak(void)
{
  static const char *const paths[] = {"/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"};
  char text[64];
  for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
    if (read_file(paths[i], text, sizeof(text)))
      return strtoll(text, NULL, 10);
  return 0;
}
