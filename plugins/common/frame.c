#include "plugins/common/frame.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int mag_frame_feed(struct mag_frame_reader *reader, const char *data, size_t len)
{
  if (reader->at > 0) {
    memmove(reader->bytes, reader->bytes + reader->at, reader->len - reader->at);
    reader->len -= reader->at;
    reader->at = 0;
  }
  if (reader->len + len > reader->cap) {
    size_t cap = 2 * (reader->len + len);
    char *bytes = realloc(reader->bytes, cap);
    if (!bytes)
      return -1;
    reader->bytes = bytes;
    reader->cap = cap;
  }
  if (len)
    memcpy(reader->bytes + reader->len, data, len);
  reader->len += len;
  return 0;
}

void mag_frame_done(struct mag_frame_reader *reader)
{
  free(reader->bytes);
  memset(reader, 0, sizeof(*reader));
}

static bool is_errno(int64_t number)
{
  return number > 0 && number < 4096;
}

static bool check(const struct mag_answer *answer)
{
  switch (answer->op) {
  case MAG_FRAME_HELLO:
    return true; /* whose magic the one who connects looks at */
  case MAG_FRAME_STARTED:
    return answer->u.number.number > 0 && answer->u.number.number <= INT32_MAX;
  case MAG_FRAME_FAILED:
    return is_errno(answer->u.failed.number);
  case MAG_FRAME_OUTPUT:
    return answer->u.output.stream >= 1 && answer->u.output.stream <= 2 && answer->u.output.offset >= 0 &&
           answer->u.output.offset < INT64_MAX / 2 && answer->len > 0;
  case MAG_FRAME_END:
    return answer->u.end.code >= 0 && answer->u.end.code <= 255 && answer->u.end.signal >= 0 &&
           answer->u.end.signal <= 64 && answer->u.end.dropped >= 0 && answer->u.end.memory_peak >= 0;
  case MAG_FRAME_DONE:
    return answer->u.number.number == 0 || is_errno(answer->u.number.number);
  case MAG_FRAME_WROTE:
    return (answer->u.wrote.number == 0 || is_errno(answer->u.wrote.number)) && answer->u.wrote.taken >= 0;
  default:
    return answer->u.process.key[0] && !answer->u.process.key[MAG_FRAME_KEY - 1] && answer->u.process.running <= 1;
  }
}

static size_t size_of(uint32_t op)
{
  static const size_t sizes[] = {sizeof(struct mag_frame_hello),  sizeof(struct mag_frame_number),
                                 sizeof(struct mag_frame_failed), sizeof(struct mag_frame_output),
                                 sizeof(struct mag_frame_end),    sizeof(struct mag_frame_number),
                                 sizeof(struct mag_frame_wrote),  sizeof(struct mag_frame_process)};
  return op >= MAG_FRAME_HELLO && op <= MAG_FRAME_PROCESS ? sizes[op - MAG_FRAME_HELLO] : 0;
}

int mag_frame_next(struct mag_frame_reader *reader, struct mag_answer *answer)
{
  struct mag_frame head;
  size_t have = reader->len - reader->at;
  if (have < sizeof(head))
    return 0;
  memcpy(&head, reader->bytes + reader->at, sizeof(head));
  size_t size = size_of(head.op);
  bool has_data = head.op == MAG_FRAME_OUTPUT || head.op == MAG_FRAME_PROCESS;
  if (size == 0 || head.len > MAG_FRAME_REPLY_MAX || head.len < size || (!has_data && head.len != size))
    return -1;
  if (have < sizeof(head) + head.len)
    return 0;
  memset(answer, 0, sizeof(*answer));
  answer->op = head.op;
  memcpy(&answer->u, reader->bytes + reader->at + sizeof(head), size);
  answer->data = reader->bytes + reader->at + sizeof(head) + size;
  answer->len = head.len - size;
  reader->at += sizeof(head) + head.len;
  return check(answer) ? 1 : -1;
}
