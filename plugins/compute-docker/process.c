/* Signals, stdin, lists. */
#include "plugins/compute-docker/docker.h"

#include <errno.h>
#include <poll.h>

#define WRITE_BYTES (128u << 10)

/* With the lock held. */
static struct watched *find_watched(struct box *box, const char *key)
{
  for (struct watched *watched = box->watched; watched; watched = watched->next)
    if (strcmp(watched->key, key) == 0)
      return watched;
  return NULL;
}

static int simple_request(struct box *box, struct mbp_call *call, uint32_t op, const void *head, size_t len,
                          struct mbp_error *err)
{
  struct channel *channel;
  int r = channel_take(box, call, "", &channel, err);
  if (r < 0)
    return r;
  r = channel_send(channel, op, head, len, mbp_str_n(NULL, 0), err);
  if (r == 0)
    r = channel_done(channel, call, err);
  if (r < 0)
    channel_unref(channel);
  else
    channel_give_back(channel);
  return r;
}

/* On the connection that the process's own exec has, if there is one: it works also where the container has no room
 * for one more process. */
int process_signal(struct box *box, struct mbp_call *call, struct mbp_str key, uint32_t signal, bool tree,
                   struct mbp_error *err)
{
  struct mag_frame_signal request = {.signal = signal, .flags = tree ? MAG_SIGNAL_TREE : 0};
  if (!process_key(request.key, key))
    return 0; /* there is none of that name */
  (void) pthread_mutex_lock(&box->lock);
  struct watched *watched = find_watched(box, request.key);
  struct channel *channel = watched && watched->channel ? channel_ref(watched->channel) : NULL;
  (void) pthread_mutex_unlock(&box->lock);
  if (!channel)
    return simple_request(box, call, MAG_FRAME_SIGNAL, &request, sizeof(request), err);
  request.flags |= MAG_SIGNAL_QUIET;
  int r = channel_send(channel, MAG_FRAME_SIGNAL, &request, sizeof(request), mbp_str_n(NULL, 0), err);
  channel_unref(channel);
  return r;
}

int process_touch(struct box *box, struct mbp_call *call, struct mbp_error *err)
{
  return simple_request(box, call, MAG_FRAME_TOUCH, NULL, 0, err);
}

/* ---- stdin ------------------------------------------------------------------------------------------------------ */

/* One piece; `offset`: where it belongs in the stream, -1: at its end. */
static int write_piece(struct channel *channel, struct mbp_call *call, const char *key, int64_t offset,
                       struct mbp_str data, bool eof, struct mbp_error *err)
{
  struct mag_frame_write head = {.offset = offset, .eof = eof};
  struct mag_answer answer;
  memcpy(head.key, key, sizeof(head.key));
  int r = channel_send(channel, MAG_FRAME_WRITE, &head, sizeof(head), data, err);
  if (r == 0)
    r = channel_next(channel, call, INT64_MAX, &answer, err);
  if (r == -MBP_E_CANCELLED)
    return plug_error(err, MBP_E_CANCELLED, "cancelled while the process was slow to read its stdin");
  if (r < 0)
    return r;
  if (answer.op != MAG_FRAME_WROTE)
    return plug_error(err, MBP_E_PROTOCOL, "the sandbox's server said what it must not");
  if (answer.u.wrote.number)
    return plug_error(err, MBP_E_LOST, "the process has ended or closed its stdin");
  return 0;
}

static int write_all(struct box *box, struct mbp_call *call, const char *key, const char *user, int64_t offset,
                     struct mbp_str data, bool eof, struct mbp_error *err)
{
  struct channel *channel;
  int r = channel_take(box, call, user, &channel, err);
  if (r < 0)
    return r;
  do {
    struct mbp_str piece = mbp_str_n(data.ptr, PLUG_MIN(data.len, (size_t) WRITE_BYTES));
    data = mbp_str_n(data.ptr ? data.ptr + piece.len : NULL, data.len - piece.len);
    r = write_piece(channel, call, key, offset, piece, eof && data.len == 0, err);
    if (offset >= 0)
      offset += (int64_t) piece.len;
  } while (r == 0 && data.len > 0);
  if (r == 0 || r == -MBP_E_LOST)
    channel_give_back(channel);
  else
    channel_unref(channel); /* which also ends what is under way */
  return r;
}

/* Another writer may wait for a slow process: whoever is cancelled must still get away. */
static int lock_stdin(struct box *box, struct mbp_call *call, const char *key, struct watched **ret_watched,
                      struct mbp_error *err)
{
  for (;;) {
    (void) pthread_mutex_lock(&box->lock);
    struct watched *watched = find_watched(box, key);
    bool locked = watched && pthread_mutex_trylock(&watched->stdin_lock) == 0;
    (void) pthread_mutex_unlock(&box->lock);
    if (locked || !watched) {
      *ret_watched = watched;
      return 0;
    }
    if (box->instance->host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled while another write was under way");
    (void) poll(NULL, 0, 5);
  }
}

int process_write(struct box *box, struct mbp_call *call, struct mbp_str name, struct mbp_str data, bool eof,
                  struct mbp_error *err)
{
  char key[MAG_FRAME_KEY];
  struct watched *watched = NULL;
  if (!process_key(key, name))
    return plug_error(err, MBP_E_LOST, "no process of that name runs");
  int r = lock_stdin(box, call, key, &watched, err);
  if (r < 0)
    return r;
  const char *user = watched ? watched->user : "";
  r = write_all(box, call, key, user, watched ? watched->taken : -1, data, eof, err);
  if (r == -MBP_E_NETWORK && watched) /* from where it was: what was taken before is not taken twice */
    r = write_all(box, call, key, user, watched->taken, data, eof, err);
  if (r == 0 && watched)
    watched->taken += (int64_t) data.len;
  if (watched)
    (void) pthread_mutex_unlock(&watched->stdin_lock);
  return r;
}

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

int process_list(struct box *box, struct mbp_call *call, struct mbp_error *err)
{
  const struct mbp_host *host = box->instance->host;
  struct channel *channel;
  struct mag_answer answer;
  int r = channel_take(box, call, "", &channel, err);
  if (r < 0)
    return r;
  bool stopped = false;
  r = channel_send(channel, MAG_FRAME_LIST, NULL, 0, mbp_str_n(NULL, 0), err);
  while (r == 0 && (r = channel_next(channel, call, plug_now_ms(host) + 15000, &answer, err)) > 0) {
    if (answer.op == MAG_FRAME_DONE)
      break;
    r = answer.op == MAG_FRAME_PROCESS ? 0
                                       : plug_error(err, MBP_E_PROTOCOL, "the sandbox's server said what it must not");
    if (r < 0 || stopped || answer.u.process.key[0] == '.')
      continue;
    struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                              .type = MBP_EV_PROCESS,
                              .number = answer.u.process.running,
                              .name = mbp_str(answer.u.process.key),
                              .data = mbp_str_n(answer.data, answer.len)};
    stopped = host->emit(call, &event) < 0;
  }
  if (r == 0) {
    channel_unref(channel);
    return plug_error(err, MBP_E_TIMEOUT, "the sandbox's server does not answer");
  }
  if (r > 0)
    channel_give_back(channel);
  else
    channel_unref(channel);
  return r > 0 ? 0 : r;
}
