/* The life of containers. */
#include "plugins/compute-docker/docker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>

#define SWEEP_GRACE_MS 60000 /* beyond its deadline: the container has had its chance to end by itself */
#define NEVER_STARTED_S 600
#define GOING_AWAY_MS 20000   /* until a container that has ended is removed by its engine */
#define SOMEBODY_ELSE_MS 5000 /* who has made a container has so long to start it */

/* ---- Remove ----------------------------------------------------------------------------------------------------- */

/* By its name, or by its id where it must be that one and not another that has taken its name meanwhile. */
static int remove_it(struct mbp_instance *instance, const char *name_or_id, struct mbp_error *err)
{
  const struct ask ask = {.method = "DELETE"};
  mag_autofree char *escaped = engine_escape(mbp_str(name_or_id));
  mag_autofree char *path = escaped ? plug_printf("/containers/%s?force=1&v=1", escaped) : NULL;
  struct mbp_error why = PLUG_ERROR_INIT;
  if (!path)
    return plug_no_memory(err);
  int r = engine_json(&instance->engine, NULL, path, &ask, 404, "remove", NULL, &why);
  if (r < 0 && why.upstream_status == 409) /* somebody else is at it, or its end is */
    return 0;
  if (r < 0 && err)
    *err = why;
  return r;
}

int container_remove(struct mbp_instance *instance, struct mbp_str key, struct mbp_error *err)
{
  mag_autofree char *name = box_name(instance, key);
  box_leave(instance, key);
  return name ? remove_it(instance, name, err) : 0;
}

/* ---- Lists and the sweep ---------------------------------------------------------------------------------------- */

int container_list(struct mbp_instance *instance, struct mbp_call *call,
                   int (*each)(void *ctx, struct mbp_instance *instance, const struct mbp_json *listed), void *ctx,
                   struct mbp_error *err)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  const char *prefix = docker_option(instance, "name_prefix", "magent-");
  struct mbp_json *document = NULL;
  const struct ask ask = {0};
  /* {"label":["magent.key"]} */
  int r = engine_json(&instance->engine, call,
                      "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22" LABEL_KEY "%22%5D%7D", &ask, 0, "list",
                      &document, err);
  for (const struct mbp_json *one = r == 0 ? json->first(document) : NULL; one && r >= 0; one = json->next(one)) {
    struct mbp_str name = json->str(json->first(json->get(one, "Names")));
    /* "/magent-KEY" */
    if (name.len > 1 + strlen(prefix) && memcmp(name.ptr + 1, prefix, strlen(prefix)) == 0)
      r = each(ctx, instance, one);
  }
  json->free(document);
  return r < 0 ? r : 0;
}

static int sweep_one(void *ctx, struct mbp_instance *instance, const struct mbp_json *listed)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  struct mbp_str deadline = json->str(json->get(json->get(listed, "Labels"), LABEL_DEADLINE));
  struct mbp_str state = json->str(json->get(listed, "State")), id = json->str(json->get(listed, "Id"));
  int64_t now = instance->host->clock_ms(instance->host->ctx, MBP_CLOCK_WALL);
  int64_t until = deadline.len ? strtoll(deadline.ptr, NULL, 10) : 0;
  int64_t created_s = json->num(json->get(listed, "Created"), 0);
  bool over = until > 0 && now > until + SWEEP_GRACE_MS;
  bool never_started = mbp_str_eq(state, "created") && created_s > 0 && now / 1000 > created_s + NEVER_STARTED_S;
  bool ended = mbp_str_eq(state, "dead");
  (void) ctx;
  mag_autofree char *container = plug_dup(id);
  if (container && id.len && (over || never_started || ended))
    (void) remove_it(instance, container, NULL);
  return 0;
}

void container_sweep(struct mbp_instance *instance, struct mbp_call *call)
{
  (void) container_list(instance, call, sweep_one, NULL, NULL);
}

/* ---- Pause ------------------------------------------------------------------------------------------------------ */

int container_pause(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, bool pause,
                    struct mbp_error *err)
{
  const struct ask ask = {.method = "POST"};
  struct box *box = NULL;
  int r = box_inspect(instance, call, key, &box, err);
  if (r < 0)
    return r;
  mag_autofree char *path = plug_printf("/containers/%s/%s", box->name, pause ? "pause" : "unpause");
  if (box->state == MBP_SANDBOX_STOPPED)
    r = plug_error(err, MBP_E_LOST, "sandbox '%s' has ended", box->key);
  else if (!path)
    r = plug_no_memory(err);
  else if (box->state == (pause ? MBP_SANDBOX_RUNNING : MBP_SANDBOX_SUSPENDED))
    r = engine_json(&instance->engine, call, path, &ask, 0, pause ? "pause" : "unpause", NULL, err);
  struct box *known = r == 0 ? box_find(instance, key) : NULL;
  if (known)
    known->state = pause ? MBP_SANDBOX_SUSPENDED : MBP_SANDBOX_RUNNING;
  box_unref(known);
  box_unref(box);
  return r;
}

/* ---- Create ----------------------------------------------------------------------------------------------------- */

struct making {
  struct mbp_instance *instance;
  struct mbp_call *call;
  const struct mbp_sandbox_spec *spec;
  const char *image;
  char *name;
  char maker[33];
  char *ours; /* id of the container that goes if the rest fails */
};

static int post_create(struct making *making, struct mbp_error *err)
{
  mag_autofree char *body = spec_body(making->instance, making->spec, making->image, making->maker, err);
  mag_autofree char *path = plug_printf("/containers/create?name=%s", making->name);
  const struct ask ask = {.method = "POST", .body = mbp_str(body), .idle_ms = 120000};
  const struct mbp_json_v1 *json = making->instance->engine.json;
  struct mbp_json *document = NULL;
  if (!body || !path)
    return plug_no_memory(err);
  int r = engine_json(&making->instance->engine, making->call, path, &ask, 0, "the container cannot be made", &document,
                      err);
  if (r == 0)
    making->ours = plug_dup(json->str(json->get(document, "Id")));
  json->free(document);
  return r;
}

/* Before its first start: what runs in it, and the directories that belong to its user. */
static int fill(struct making *making, struct mbp_error *err)
{
  struct mbp_instance *instance = making->instance;
  mag_autofree char *working_dir =
      plug_dup(making->spec->working_dir.len ? making->spec->working_dir : mbp_str(DOCKER_WORKING_DIR));
  mag_autofree char *path = plug_printf("/containers/%s/archive?path=%%2F", making->name);
  mag_autofree char *bytes = NULL;
  size_t len = 0;
  if (!path || !working_dir)
    return plug_no_memory(err);
  int r = archive_of_sandbox(instance, working_dir, &bytes, &len, err);
  if (r < 0)
    return r;
  const struct ask ask = {
      .method = "PUT", .body = mbp_str_n(bytes, len), .content_type = "application/x-tar", .idle_ms = 120000};
  return engine_json(&instance->engine, making->call, path, &ask, 0, "magent-sandbox cannot be put into the container",
                     NULL, err);
}

static int start(struct making *making, struct mbp_error *err)
{
  const struct ask ask = {.method = "POST", .idle_ms = 120000};
  mag_autofree char *path = plug_printf("/containers/%s/start", making->name);
  return path ? engine_json(&making->instance->engine, making->call, path, &ask, 304, "the container cannot be started",
                            NULL, err)
              : plug_no_memory(err);
}

/* What stands under the name. 0 and no box: nothing. */
static int look(struct making *making, struct box **ret_box, struct mbp_error *err)
{
  int r = box_inspect(making->instance, making->call, making->spec->key, ret_box, err);
  return r == -MBP_E_NOT_FOUND ? 0 : r;
}

static int pause_a_moment(struct making *making, struct mbp_error *err)
{
  struct pollfd fd = {making->instance->host->cancel_fd(making->call), POLLIN, 0};
  (void) poll(&fd, 1, 50);
  return making->instance->host->cancelled(making->call) ? plug_error(err, MBP_E_CANCELLED, "cancelled") : 0;
}

/* 1: a new container of ours is there, not started yet. 0: somebody else's has the name, or an answer was lost. */
static int try_to_create(struct making *making, struct mbp_error *err)
{
  int r = image_ensure(making->instance, making->call, making->image, err);
  if (r < 0)
    return r;
  r = post_create(making, err);
  if (r == 0)
    return 1;
  bool taken = err->upstream_status == 409;
  bool lost = !err->upstream_status && (err->flags & MBP_ERR_RETRYABLE);
  return taken || lost ? 0 : r;
}

/* Until there is one that runs (1), or one that it is for us to finish (0). Others may be at it with the same key. */
static int claim(struct making *making, struct box **ret_box, struct mbp_error *err)
{
  int64_t begun = plug_now_ms(making->instance->host), waiting_since = 0;
  for (;;) {
    struct box *box = NULL;
    int r = look(making, &box, err);
    if (r < 0)
      return r;
    uint32_t state = box ? box->state : 0;
    if (state == MBP_SANDBOX_RUNNING || state == MBP_SANDBOX_SUSPENDED) {
      *ret_box = box;
      return 1;
    }
    if (!box && (r = try_to_create(making, err)) != 0)
      return r > 0 ? 0 : r;
    int64_t now = plug_now_ms(making->instance->host);
    if (state == MBP_SANDBOX_STARTING && !waiting_since)
      waiting_since = now;
    bool ours = state == MBP_SANDBOX_STARTING && /* whoever made it did not get further */
                (strcmp(box->maker, making->maker) == 0 || now > waiting_since + SOMEBODY_ELSE_MS);
    if (ours)
      making->ours = plug_dup(mbp_str(box->container));
    if (state == MBP_SANDBOX_STOPPED) /* on its way out */
      (void) remove_it(making->instance, box->container, NULL);
    box_unref(box);
    if (ours)
      return 0;
    if (now > begun + GOING_AWAY_MS + SOMEBODY_ELSE_MS)
      return plug_error(err, MBP_E_BUSY, "the engine neither makes nor removes the container '%s'", making->name);
    if ((r = pause_a_moment(making, err)) < 0)
      return r;
  }
}

/* The first command finds its connection open; and nothing is called made that does not answer. */
static int greet(struct making *making, struct box *box, struct mbp_error *err)
{
  struct channel *channel = NULL;
  int r = channel_take(box, making->call, "", &channel, err);
  if (r == 0)
    channel_give_back(channel);
  return r;
}

/* Also one of which the answer that it was made has been lost. */
static void take_back(struct making *making)
{
  struct box *box = NULL;
  if (!making->ours && box_inspect(making->instance, NULL, making->spec->key, &box, NULL) == 0 &&
      strcmp(box->maker, making->maker) == 0)
    making->ours = plug_dup(mbp_str(box->container));
  box_unref(box);
  if (making->ours)
    (void) remove_it(making->instance, making->ours, NULL);
}

static int make(struct making *making, struct box **ret_box, bool *ret_existed, struct mbp_error *err)
{
  struct box *box = NULL;
  int r = claim(making, &box, err);
  *ret_existed = r > 0;
  if (r == 0 && (r = fill(making, err)) == 0 && (r = start(making, err)) == 0 &&
      (r = box_inspect(making->instance, making->call, making->spec->key, &box, err)) == 0)
    r = box->state == MBP_SANDBOX_RUNNING
            ? greet(making, box, err)
            : plug_error(err, MBP_E_UNAVAILABLE, "the container ended as soon as it was started");
  if (r < 0) {
    box_unref(box);
    take_back(making);
    return r;
  }
  *ret_box = box;
  return 0;
}

static int name_maker(struct making *making, struct mbp_error *err)
{
  uint64_t number[2];
  if (getrandom(number, sizeof(number), 0) != sizeof(number))
    return plug_errno(err, errno, "no random numbers");
  (void) snprintf(making->maker, sizeof(making->maker), "%016llx%016llx", (unsigned long long) number[0],
                  (unsigned long long) number[1]);
  return 0;
}

int container_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                     struct box **ret_box, bool *ret_existed, struct mbp_error *err)
{
  mag_autofree char *image =
      spec->image.len ? plug_dup(spec->image) : plug_dup(mbp_str(docker_option(instance, "image", "")));
  struct making making = {
      .instance = instance, .call = call, .spec = spec, .image = image, .name = box_name(instance, spec->key)};
  int r = image && making.name ? name_maker(&making, err) : plug_no_memory(err);
  if (r == 0)
    r = make(&making, ret_box, ret_existed, err);
  free(making.name);
  free(making.ours);
  return r;
}
