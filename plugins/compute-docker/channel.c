/* Connections to the server in a container: one hijacked exec each, used again and again. */
#include "plugins/compute-docker/docker.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>

#define IDLE_KEPT 8
#define HELLO_WAIT_MS 15000
#define DONE_WAIT_MS 15000
#define READ_SIZE 65536

struct channel {
  struct channel *next;
  unsigned refs;
  struct box *box; /* not counted: who uses a channel holds its box */
  struct mbp_http *http;
  struct docker_stream stream;
  struct mag_frame_reader reader;
  char *user;
  uint64_t server;
  pthread_mutex_t write_lock;
  char complaint[400]; /* what came on stderr, or before anything that is a frame */
  size_t complaint_len;
};

static struct engine *engine_of(const struct channel *channel)
{
  return &channel->box->instance->engine;
}

struct channel *channel_ref(struct channel *channel)
{
  __atomic_add_fetch(&channel->refs, 1, __ATOMIC_RELAXED);
  return channel;
}

void channel_unref(struct channel *channel)
{
  if (!channel || __atomic_sub_fetch(&channel->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return;
  engine_of(channel)->http->close(channel->http);
  mag_frame_done(&channel->reader);
  (void) pthread_mutex_destroy(&channel->write_lock);
  free(channel->user);
  free(channel);
}

uint64_t channel_server(const struct channel *channel)
{
  return channel->server;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

static int take(void *ctx, unsigned stream, const char *data, size_t len)
{
  struct channel *channel = ctx;
  size_t n = PLUG_MIN(len, sizeof(channel->complaint) - 1 - channel->complaint_len);
  if (stream == 2 || channel->reader.len == 0) {
    memcpy(channel->complaint + channel->complaint_len, data, n);
    channel->complaint_len += n;
  }
  return stream == 1 && mag_frame_feed(&channel->reader, data, len) < 0 ? -1 : 0;
}

int channel_send(struct channel *channel, uint32_t op, const void *head, size_t head_len, struct mbp_str data,
                 struct mbp_error *err)
{
  struct mag_frame frame = {op, (uint32_t) (head_len + data.len)};
  size_t len = sizeof(frame) + head_len + data.len;
  mag_autofree char *bytes = malloc(len);
  if (!bytes)
    return plug_no_memory(err);
  memcpy(bytes, &frame, sizeof(frame));
  if (head_len)
    memcpy(bytes + sizeof(frame), head, head_len);
  if (data.len)
    memcpy(bytes + sizeof(frame) + head_len, data.ptr, data.len);
  (void) pthread_mutex_lock(&channel->write_lock);
  int r = engine_of(channel)->http->write(channel->http, mbp_str_n(bytes, len), err);
  (void) pthread_mutex_unlock(&channel->write_lock);
  return r;
}

/* 1: there are bytes to read, or the end. */
static int wait_for_bytes(struct channel *channel, struct mbp_call *call, int64_t until_ms, struct mbp_error *err)
{
  const struct mbp_host *host = engine_of(channel)->host;
  for (;;) {
    int64_t left = until_ms == INT64_MAX ? -1 : until_ms - plug_now_ms(host);
    struct pollfd fds[] = {{engine_of(channel)->http->poll_fd(channel->http), POLLIN, 0},
                           {call ? host->cancel_fd(call) : -1, POLLIN, 0}};
    if (call && host->cancelled(call))
      return plug_error(err, MBP_E_CANCELLED, "cancelled");
    int n = poll(fds, 2,
                 left < 0 && until_ms == INT64_MAX ? -1
                 : left <= 0                       ? 0
                 : left > INT_MAX                  ? INT_MAX
                                                   : (int) left);
    if (fds[0].revents)
      return 1;
    if (n == 0 && until_ms != INT64_MAX && plug_now_ms(host) >= until_ms)
      return 0;
  }
}

int channel_next(struct channel *channel, struct mbp_call *call, int64_t until_ms, struct mag_answer *answer,
                 struct mbp_error *err)
{
  char buf[READ_SIZE];
  for (;;) {
    int r = mag_frame_next(&channel->reader, answer);
    if (r < 0)
      return plug_error(err, MBP_E_PROTOCOL, "the sandbox's server said what it must not");
    if (r > 0)
      return 1;
    if ((r = wait_for_bytes(channel, call, until_ms, err)) <= 0)
      return r;
    int64_t n = engine_of(channel)->http->read(channel->http, buf, sizeof(buf), err);
    if (n < 0)
      return plug_error(err, MBP_E_NETWORK, "the connection to the sandbox was cut");
    if (n == 0)
      return plug_error(err, MBP_E_NETWORK, "the connection to the sandbox was closed");
    if (docker_stream_feed(&channel->stream, buf, (size_t) n, take, channel) < 0)
      return plug_error(err, MBP_E_PROTOCOL, "the engine's exec stream is malformed");
  }
}

int channel_done(struct channel *channel, struct mbp_call *call, struct mbp_error *err)
{
  struct mag_answer answer;
  int r = channel_next(channel, call, plug_now_ms(engine_of(channel)->host) + DONE_WAIT_MS, &answer, err);
  if (r == 0)
    return plug_error(err, MBP_E_TIMEOUT, "the sandbox's server does not answer");
  if (r > 0 && answer.op != MAG_FRAME_DONE)
    return plug_error(err, MBP_E_PROTOCOL, "the sandbox's server said what it must not");
  return r < 0 ? r : 0;
}

/* ---- Open ------------------------------------------------------------------------------------------------------- */

static int gone(struct box *box, struct mbp_error *err)
{
  if (err && (err->upstream_status == 404 || (err->upstream_status == 409 && err->code == MBP_E_CONFLICT)))
    return plug_error(err, MBP_E_LOST,
                      "sandbox '%s' is gone: its time was over, it was removed, or the engine started anew", box->key);
  return err ? -err->code : -MBP_E_LOST;
}

/* Makes an exec of the container; *ret_path starts it. */
static int make_exec(struct box *box, struct mbp_call *call, const char *user, const char *mode, char **ret_path,
                     struct mbp_error *err)
{
  struct engine *engine = &box->instance->engine;
  const struct mbp_json_v1 *json = engine->json;
  bool stays = strcmp(mode, "connect") == 0;
  struct mbp_writer *w = json->writer_new();
  struct mbp_json *document = NULL;
  struct ask ask = {.method = "POST"};
  if (!w)
    return plug_no_memory(err);
  json->object(w, NULL);
  json->boolean(w, "AttachStdin", stays);
  json->boolean(w, "AttachStdout", stays);
  json->boolean(w, "AttachStderr", stays);
  json->boolean(w, "Tty", 0);
  if (user[0])
    json->string(w, "User", mbp_str(user));
  json->array(w, "Cmd");
  json->string(w, NULL, mbp_str(DOCKER_HELPER));
  json->string(w, NULL, mbp_str(mode));
  json->end(w);
  json->end(w);
  mag_autofree char *path = plug_printf("/containers/%s/exec", box->name);
  int r = path ? json->text(w, &ask.body) : -MBP_E_NO_MEMORY;
  r = r < 0 ? plug_no_memory(err) : engine_json(engine, call, path, &ask, 0, "exec", &document, err);
  json->writer_free(w);
  if (r < 0)
    return gone(box, err);
  struct mbp_str id = json->str(json->get(document, "Id"));
  mag_autofree char *escaped = engine_escape(id);
  *ret_path = escaped && id.len ? plug_printf("/exec/%s/start", escaped) : NULL;
  json->free(document);
  return *ret_path ? 0 : plug_error(err, MBP_E_PROTOCOL, "the engine made an exec without an id");
}

/* For another user than the container's: a server of its own, which stays as long as the container. */
static int start_server(struct box *box, struct mbp_call *call, const char *user, struct mbp_error *err)
{
  struct ask ask = {.method = "POST", .body = mbp_str("{\"Detach\":true,\"Tty\":false}")};
  char *path = NULL;
  bool known = !user[0];
  (void) pthread_mutex_lock(&box->lock);
  for (size_t i = 0; i < box->users.n && !known; i++)
    known = strcmp(box->users.items[i], user) == 0;
  (void) pthread_mutex_unlock(&box->lock);
  if (known)
    return 0;
  int r = make_exec(box, call, user, "serve", &path, err);
  if (r == 0)
    r = engine_json(&box->instance->engine, call, path, &ask, 0, "exec", NULL, err);
  free(path);
  if (r == 0) {
    (void) pthread_mutex_lock(&box->lock);
    plug_list_add(&box->users, user);
    (void) pthread_mutex_unlock(&box->lock);
  }
  return r;
}

static int greet(struct channel *channel, struct mbp_call *call, struct mbp_error *err)
{
  struct mag_answer answer;
  struct mbp_error why = PLUG_ERROR_INIT;
  int r = channel_next(channel, call, plug_now_ms(engine_of(channel)->host) + HELLO_WAIT_MS, &answer, &why);
  if (r > 0 && answer.op == MAG_FRAME_HELLO && answer.u.hello.magic == MAG_FRAME_MAGIC) {
    channel->complaint_len = 0;
    channel->server = answer.u.hello.server;
    return 0;
  }
  if (r > 0 && answer.op == MAG_FRAME_HELLO)
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "sandbox '%s' was made by another version of magent: remove it, and a new one will be made",
                      channel->box->key);
  if (r == -MBP_E_CANCELLED)
    return plug_error(err, MBP_E_CANCELLED, "cancelled");
  if (r == 0)
    return plug_error(err, MBP_E_TIMEOUT, "sandbox '%s' does not answer (is it suspended?)", channel->box->key);
  /* The engine tells in words why there is no exec, in the place of the program's output. */
  if (channel->complaint_len)
    return engine_say("the sandbox's server cannot be reached",
                      mbp_str_n(channel->complaint, strcspn(channel->complaint, "\r\n")), MBP_E_UNAVAILABLE, err);
  return plug_error(err, MBP_E_NETWORK, "%s", why.message);
}

static int open_channel(struct box *box, struct mbp_call *call, const char *user, struct channel **ret_channel,
                        struct mbp_error *err)
{
  struct engine *engine = &box->instance->engine;
  struct ask ask = {.method = "POST", .body = mbp_str("{\"Detach\":false,\"Tty\":false}"), .flags = MBP_HTTP_UPGRADE};
  struct channel *channel = calloc(1, sizeof(*channel));
  mag_autofree char *path = NULL;
  if (!channel)
    return plug_no_memory(err);
  channel->refs = 1;
  channel->box = box;
  (void) pthread_mutex_init(&channel->write_lock, NULL);
  channel->user = plug_dup(mbp_str(user));
  int r = channel->user ? start_server(box, call, user, err) : plug_no_memory(err);
  if (r == 0)
    r = make_exec(box, call, user, "connect", &path, err);
  /* Not with the call: the channel outlives it. */
  if (r == 0)
    r = engine_ask(engine, NULL, path, &ask, &channel->http, err);
  if (r == 0 && engine->http->status(channel->http) != 101 && engine->http->status(channel->http) != 200) {
    (void) engine_fail(engine, channel->http, "exec", err);
    r = gone(box, err);
  }
  if (r == 0)
    r = greet(channel, call, err);
  if (r < 0)
    channel_unref(channel);
  else
    *ret_channel = channel;
  return r;
}

/* ---- Pool ------------------------------------------------------------------------------------------------------- */

static struct channel *take_idle(struct box *box, const char *user)
{
  struct channel *found = NULL;
  (void) pthread_mutex_lock(&box->lock);
  for (struct channel **at = &box->idle; *at && !found;) {
    if (strcmp((*at)->user, user) == 0) {
      found = *at;
      *at = found->next;
      found->next = NULL;
    } else {
      at = &(*at)->next;
    }
  }
  (void) pthread_mutex_unlock(&box->lock);
  return found;
}

int channel_take(struct box *box, struct mbp_call *call, const char *user, struct channel **ret_channel,
                 struct mbp_error *err)
{
  struct channel *channel;
  while ((channel = take_idle(box, user)) != NULL) {
    /* Nothing may come on an idle one but its end. */
    struct pollfd fd = {engine_of(channel)->http->poll_fd(channel->http), POLLIN, 0};
    if (poll(&fd, 1, 0) == 0) {
      *ret_channel = channel;
      return 0;
    }
    channel_unref(channel);
  }
  return open_channel(box, call, user, ret_channel, err);
}

void channel_give_back(struct channel *channel)
{
  struct box *box = channel->box;
  size_t n = 0;
  if (channel->reader.at != channel->reader.len) {
    channel_unref(channel);
    return;
  }
  (void) pthread_mutex_lock(&box->lock);
  for (struct channel *idle = box->idle; idle; idle = idle->next)
    n++;
  if (n < IDLE_KEPT) {
    channel->next = box->idle;
    box->idle = channel;
    channel = NULL;
  }
  (void) pthread_mutex_unlock(&box->lock);
  channel_unref(channel);
}

void channel_close_all(struct box *box)
{
  (void) pthread_mutex_lock(&box->lock);
  struct channel *idle = box->idle;
  box->idle = NULL;
  (void) pthread_mutex_unlock(&box->lock);
  while (idle) {
    struct channel *next = idle->next;
    channel_unref(idle);
    idle = next;
  }
}
