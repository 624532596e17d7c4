/* Images: whether the engine has one, and getting it. */
#include "plugins/compute-docker/docker.h"
#include "plugins/compute-docker/progress.h"

#include <stdio.h>
#include <sys/utsname.h>

#define PULL_SILENCE_MS 300000

/* Names of processors as engines call them. */
static const char *own_architecture(void)
{
  static struct utsname name;
  if (uname(&name) < 0)
    return "";
  return strcmp(name.machine, "x86_64") == 0 ? "amd64" : strcmp(name.machine, "aarch64") == 0 ? "arm64" : name.machine;
}

static int check_architecture(struct mbp_instance *instance, const char *image, const struct mbp_json *document,
                              struct mbp_error *err)
{
  const struct mbp_json_v1 *json = instance->engine.json;
  struct mbp_str architecture = json->str(json->get(document, "Architecture"));
  struct mbp_str os = json->str(json->get(document, "Os"));
  if ((os.len && !mbp_str_eq(os, "linux")) || (architecture.len && !mbp_str_eq(architecture, own_architecture())))
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "image '%s' is for %.*s/%.*s; magent-sandbox, which runs the commands in it, is for linux/%s: "
                      "choose an image for that",
                      image, (int) os.len, os.ptr, (int) architecture.len, architecture.ptr, own_architecture());
  return 0;
}

/* 1: it is there. */
static int look(struct mbp_instance *instance, struct mbp_call *call, const char *image, struct mbp_error *err)
{
  struct mbp_json *document = NULL;
  const struct ask ask = {0};
  mag_autofree char *escaped = engine_escape(mbp_str(image));
  mag_autofree char *path = escaped ? plug_printf("/images/%s/json", escaped) : NULL;
  if (!path)
    return plug_no_memory(err);
  int r = engine_json(&instance->engine, call, path, &ask, 404, "image", &document, err);
  if (r == 0 && document)
    r = check_architecture(instance, image, document, err);
  bool found = document != NULL;
  instance->engine.json->free(document);
  return r < 0 ? r : found;
}

static void show(struct mbp_instance *instance, struct mbp_call *call, const char *image,
                 const struct progress *progress)
{
  char text[400], where[160];
  progress_text(progress, where, sizeof(where));
  (void) snprintf(text, sizeof(text), "pulling %.200s: %s", image, where);
  struct mbp_event event = {.size = MBP_SIZE(struct mbp_event, data),
                            .type = MBP_EV_PROGRESS,
                            .number = progress->percent,
                            .data = mbp_str(text)};
  (void) instance->host->emit(call, &event);
}

static int read_progress(struct mbp_instance *instance, struct mbp_call *call, struct mbp_http *http, const char *image,
                         struct mbp_error *err)
{
  const struct mbp_http_v1 *table = instance->engine.http;
  struct progress *progress = malloc(sizeof(*progress));
  char buf[16384];
  int64_t n;
  if (!progress)
    return plug_no_memory(err);
  progress_init(progress, instance->engine.json);
  while ((n = table->read(http, buf, sizeof(buf), err)) > 0)
    if (progress_feed(progress, buf, (size_t) n) > 0)
      show(instance, call, image, progress);
  (void) progress_end(progress);
  int r = n < 0 ? (int) n : 0;
  if (r == 0 && progress->error[0]) {
    char what[300];
    (void) snprintf(what, sizeof(what), "image '%.200s' cannot be pulled", image);
    r = engine_say(what, mbp_str(progress->error), MBP_E_NOT_FOUND, err);
  }
  free(progress);
  return r;
}

static int pull(struct mbp_instance *instance, struct mbp_call *call, const char *image, struct mbp_error *err)
{
  /* Without a tag or a digest all tags would come. */
  const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
  bool named = strpbrk(name, ":@") != NULL;
  const struct ask ask = {.method = "POST", .idle_ms = PULL_SILENCE_MS};
  mag_autofree char *escaped = engine_escape(mbp_str(image));
  mag_autofree char *path =
      escaped ? plug_printf("/images/create?fromImage=%s%s", escaped, named ? "" : "&tag=latest") : NULL;
  struct mbp_http *http;
  char what[300];
  if (!path)
    return plug_no_memory(err);
  int r = engine_ask(&instance->engine, call, path, &ask, &http, err);
  if (r < 0)
    return r;
  (void) snprintf(what, sizeof(what), "image '%.200s' cannot be pulled (check its name, and the engine's network)",
                  image);
  if (instance->engine.http->status(http) / 100 != 2)
    r = engine_fail(&instance->engine, http, what, err);
  else
    r = read_progress(instance, call, http, image, err);
  instance->engine.http->close(http);
  return r;
}

int image_ensure(struct mbp_instance *instance, struct mbp_call *call, const char *image, struct mbp_error *err)
{
  const char *policy = docker_option(instance, "pull", "missing");
  int r = strcmp(policy, "always") == 0 ? 0 : look(instance, call, image, err);
  if (r != 0)
    return r < 0 ? r : 0;
  if (strcmp(policy, "never") == 0)
    return plug_error(err, MBP_E_NOT_FOUND,
                      "the engine has no image '%s', and pull is 'never': `docker pull %s`, or set pull to 'missing'",
                      image, image);
  r = pull(instance, call, image, err);
  if (r == 0)
    r = look(instance, call, image, err);
  return r == 0  ? plug_error(err, MBP_E_NOT_FOUND, "image '%s' was pulled, and the engine does not know it", image)
         : r < 0 ? r
                 : 0;
}
