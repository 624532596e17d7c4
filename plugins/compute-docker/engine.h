/* engine.h - the HTTP API of a Docker engine. Any thread. */
#ifndef MAG_DOCKER_ENGINE_H
#define MAG_DOCKER_ENGINE_H

#include "plugins/common/plug.h"

#include <magent/mbp-host.h>
#include <pthread.h>
#include <stdbool.h>

#define ENGINE_QUICK_MS 30000 /* longest silence of what an engine answers at once */

struct engine {
  const struct mbp_host *host;
  const struct mbp_http_v1 *http;
  const struct mbp_json_v1 *json;
  char *address; /* as the user wrote it, for messages */
  char *base;    /* "http://docker", "https://host:2376" */
  char *socket;  /* path, or NULL */
  char *ca_file, *cert_file, *key_file;
  pthread_mutex_t lock;
  char version[16]; /* "1.41"; empty: not asked yet */
};

struct engine_options {
  const char *address;     /* unix:///path, tcp://host:port */
  const char *tls_verify;  /* empty, 0 or false: no TLS */
  const char *cert_path;   /* directory of ca.pem, cert.pem, key.pem */
  const char *api_version; /* empty: negotiated */
};

/* No network. `engine` is zeroed. */
int engine_init(struct engine *engine, const struct mbp_host *host, const struct engine_options *options,
                struct mbp_error *err);
void engine_done(struct engine *engine);

/* An API version "1.41" as 1041; 0: it is none. */
int engine_version_number(const char *text);

struct ask {
  const char *method; /* NULL: GET */
  struct mbp_str body;
  const char *content_type; /* NULL: JSON if there is a body */
  uint32_t flags;           /* MBP_HTTP_* */
  int64_t idle_ms;          /* 0: ENGINE_QUICK_MS; negative: none but the host's default */
};

/* Sends `path` ("/containers/json?all=1", encoded) below the version, which is negotiated first. Any status is a
 * success; close *ret_http. `call` may be NULL: nothing cancels. */
int engine_ask(struct engine *engine, struct mbp_call *call, const char *path, const struct ask *ask,
               struct mbp_http **ret_http, struct mbp_error *err);

/* The same for a whole answer: 0 and its JSON (NULL where there is none; free it), or an error made from the answer
 * that begins with `what`; err->upstream_status has its status. A status of `also` is a success without JSON. */
int engine_json(struct engine *engine, struct mbp_call *call, const char *path, const struct ask *ask, int also,
                const char *what, struct mbp_json **ret_json, struct mbp_error *err);

/* Fills err from an answer that is not 2xx; what the engine says is put behind `what`. Returns -code. */
int engine_fail(struct engine *engine, struct mbp_http *http, const char *what, struct mbp_error *err);
/* Makes an error of what an engine says in words (of an image, of a start). */
int engine_say(const char *what, struct mbp_str message, int code, struct mbp_error *err);

/* For paths: everything but letters, digits and -._~/ is escaped. NULL without memory. */
char *engine_escape(struct mbp_str text);

#endif
