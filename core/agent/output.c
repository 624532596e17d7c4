#include "agent/output.h"

#include "agent/engine.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The file: this, then the head, then the tail as a ring. Read by the same program on the same machine. */
struct header {
  char magic[8];
  char event_id[MAG_ID_SIZE];
  uint64_t total;
};

static const char magic[8] = "mag-out1";

char *mag_output_path(const char *session)
{
  mag_autofree char *state = mag_state_dir();
  return state ? mag_sprintf("%s/output/%s", state, session) : NULL;
}

void mag_output_init(struct mag_output *output, const char *session)
{
  *output = (struct mag_output){.session = session, .fd = -1};
}

void mag_output_begin(struct mag_output *output, const char *event_id)
{
  (void) snprintf(output->event_id, sizeof(output->event_id), "%s", event_id ? event_id : "");
  output->total = 0;
}

/* Most tools print nothing or end well: the file is made as late as it can be. */
static int make(struct mag_output *output)
{
  mag_autofree char *path = mag_output_path(output->session);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  if (!path)
    return -1;
  int fd = open(path, flags, 0600);
  if (fd < 0 && errno == ENOENT) {
    char *slash = strrchr(path, '/');
    *slash = 0;
    (void) mkdir(path, 0700);
    *slash = '/';
    fd = open(path, flags, 0600);
  }
  return fd;
}

static void write_at(struct mag_output *output, const void *bytes, size_t len, uint64_t at)
{
  if (len && pwrite(output->fd, bytes, len, (off_t) at) != (ssize_t) len)
    output->failed = true;
}

static void add_tail(struct mag_output *output, const char *bytes, size_t len, uint64_t at)
{
  uint64_t skip = len > MAG_OUTPUT_TAIL ? len - MAG_OUTPUT_TAIL : 0;
  while (skip < len) {
    uint64_t place = (at + skip) % MAG_OUTPUT_TAIL;
    size_t n = (size_t) MAG_MIN(MAG_OUTPUT_TAIL - place, len - skip);
    write_at(output, bytes + skip, n, sizeof(struct header) + MAG_OUTPUT_HEAD + place);
    skip += n;
  }
}

void mag_output_add(struct mag_output *output, const char *event_id, struct mbp_str data)
{
  if (data.len == 0 || output->failed || !output->event_id[0] || strcmp(output->event_id, event_id) != 0)
    return;
  if (output->fd < 0)
    output->fd = make(output);
  if (output->fd < 0) {
    output->failed = true;
    return;
  }
  size_t head = output->total < MAG_OUTPUT_HEAD ? (size_t) (MAG_OUTPUT_HEAD - output->total) : 0;
  head = MAG_MIN(head, data.len);
  write_at(output, data.ptr, head, sizeof(struct header) + output->total);
  add_tail(output, data.ptr + head, data.len - head, output->total + head - MAG_OUTPUT_HEAD);
  output->total += data.len;
  struct header header = {.total = output->total};
  memcpy(header.magic, magic, sizeof(magic));
  memcpy(header.event_id, output->event_id, sizeof(header.event_id));
  write_at(output, &header, sizeof(header), 0); /* last: what it says is there */
}

void mag_output_done(struct mag_output *output, bool keep)
{
  mag_cleanup_close(&output->fd);
  if (keep || !output->session[0])
    return;
  mag_autofree char *path = mag_output_path(output->session); /* may be an earlier process's */
  if (path)
    (void) unlink(path);
}

/* The ring from its oldest byte on. */
static void add_ring(struct mag_buf *text, const char *ring, uint64_t len)
{
  size_t start = len > MAG_OUTPUT_TAIL ? (size_t) (len % MAG_OUTPUT_TAIL) : 0;
  size_t have = (size_t) MAG_MIN(len, (uint64_t) MAG_OUTPUT_TAIL);
  mag_buf_add(text, ring + start, have - start);
  mag_buf_add(text, ring, start);
}

char *mag_output_quote(const char *session, const char *event_id, size_t *ret_len)
{
  struct {
    struct header header;
    char head[MAG_OUTPUT_HEAD], tail[MAG_OUTPUT_TAIL];
  } file;
  mag_autofree char *path = mag_output_path(session);
  mag_autoclose int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
  ssize_t n = fd < 0 ? -1 : read(fd, &file, sizeof(file));
  if (n <= (ssize_t) sizeof(file.header) || memcmp(file.header.magic, magic, sizeof(magic)) != 0 ||
      strncmp(file.header.event_id, event_id, sizeof(file.header.event_id)) != 0 || file.header.total == 0)
    return NULL;
  uint64_t total = file.header.total, there = (uint64_t) n - sizeof(file.header);
  if (there < MAG_MIN(total, (uint64_t) (MAG_OUTPUT_HEAD + MAG_OUTPUT_TAIL)))
    return NULL; /* somebody else's, or damaged */
  uint64_t head = MAG_MIN(total, (uint64_t) MAG_OUTPUT_HEAD), tail = total - head;
  mag_autobuf text = MAG_BUF_INIT;
  mag_buf_printf(&text, "It had printed %llu byte%s by then:\n", (unsigned long long) total,
                 mag_plural((int64_t) total));
  mag_buf_add(&text, file.head, (size_t) head);
  if (tail > MAG_OUTPUT_TAIL)
    mag_buf_printf(&text, "\n\n[... %llu bytes left out ...]\n\n", (unsigned long long) (tail - MAG_OUTPUT_TAIL));
  add_ring(&text, file.tail, tail);
  *ret_len = text.len;
  return mag_buf_take(&text);
}
