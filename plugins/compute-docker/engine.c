/* How an engine is reached, and what its answers mean. */
#include "plugins/compute-docker/engine.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define VERSION_MOST 1047 /* what this plugin was written for */
#define VERSION_LEAST 1040
#define MOST_TEXT "1.47"

/* ---- Address ---------------------------------------------------------------------------------------------------- */

static bool is_on(const char *text)
{
  return text && text[0] && strcmp(text, "0") != 0 && strcasecmp(text, "false") != 0;
}

static char *file_in(const char *directory, const char *name)
{
  char *path = plug_printf("%s/%s", directory, name);
  if (path && access(path, F_OK) < 0) {
    free(path);
    return NULL;
  }
  return path;
}

/* Where nothing is said, the docker command looks into ~/.docker. */
static void set_tls_of_home(struct engine *engine)
{
  const char *home = secure_getenv("HOME");
  mag_autofree char *directory = home && home[0] == '/' ? plug_printf("%s/.docker", home) : NULL;
  if (!directory)
    return;
  engine->ca_file = file_in(directory, "ca.pem"); /* else the system's certificates */
  engine->cert_file = file_in(directory, "cert.pem");
  engine->key_file = engine->cert_file ? file_in(directory, "key.pem") : NULL;
  if (!engine->key_file) {
    free(engine->cert_file);
    engine->cert_file = NULL;
  }
}

static int set_tls(struct engine *engine, const struct engine_options *options, struct mbp_error *err)
{
  if (!options->cert_path || !options->cert_path[0]) {
    set_tls_of_home(engine);
    return 0;
  }
  engine->ca_file = file_in(options->cert_path, "ca.pem");
  engine->cert_file = file_in(options->cert_path, "cert.pem");
  engine->key_file = file_in(options->cert_path, "key.pem");
  if ((engine->cert_file == NULL) != (engine->key_file == NULL))
    return plug_error(err, MBP_E_INVALID, "%s must hold both cert.pem and key.pem, or neither (see DOCKER_CERT_PATH)",
                      options->cert_path);
  if (!engine->ca_file && !engine->cert_file)
    return plug_error(err, MBP_E_NOT_FOUND, "%s holds neither ca.pem nor cert.pem and key.pem (see DOCKER_CERT_PATH)",
                      options->cert_path);
  return 0;
}

static int set_address(struct engine *engine, const struct engine_options *options, struct mbp_error *err)
{
  const char *address = options->address;
  bool tls = is_on(options->tls_verify);
  engine->address = plug_dup(mbp_str(address));
  if (strncmp(address, "unix://", 7) == 0 && address[7] == '/') {
    engine->socket = plug_dup(mbp_str(address + 7));
    engine->base = plug_dup(mbp_str("http://docker"));
  } else if (strncmp(address, "tcp://", 6) == 0 && address[6] && !strpbrk(address + 6, "/?#@ ")) {
    const char *bracket = strrchr(address + 6, ']'), *port = strchr(bracket ? bracket : address + 6, ':');
    engine->base = plug_printf("%s://%s%s", tls ? "https" : "http", address + 6, port ? "" : tls ? ":2376" : ":2375");
    int r = tls ? set_tls(engine, options, err) : 0;
    if (r < 0)
      return r;
  } else if (strncmp(address, "ssh://", 6) == 0) {
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "%.100s: engines behind ssh are reached through a forwarded socket: `ssh -NL "
                      "/tmp/docker.sock:/var/run/docker.sock HOST`, then DOCKER_HOST=unix:///tmp/docker.sock",
                      address);
  } else {
    return plug_error(err, MBP_E_INVALID, "'%.100s' is no engine's address: unix:///PATH or tcp://HOST:PORT", address);
  }
  return engine->base && engine->address ? 0 : plug_no_memory(err);
}

int engine_version_number(const char *text)
{
  char *end;
  if (text[0] < '1' || text[0] > '9')
    return 0;
  long major = strtol(text, &end, 10);
  if (*end != '.' || end[1] < '0' || end[1] > '9' || major > 99)
    return 0;
  long minor = strtol(end + 1, &end, 10);
  return *end == 0 && minor < 1000 ? (int) (major * 1000 + minor) : 0;
}

int engine_init(struct engine *engine, const struct mbp_host *host, const struct engine_options *options,
                struct mbp_error *err)
{
  engine->host = host;
  engine->http = host->get_interface(host->ctx, MBP_HTTP_V1);
  engine->json = host->get_interface(host->ctx, MBP_JSON_V1);
  (void) pthread_mutex_init(&engine->lock, NULL);
  if (!engine->http || !engine->json)
    return plug_error(err, MBP_E_UNSUPPORTED, "docker needs a host with %s and %s", MBP_HTTP_V1, MBP_JSON_V1);
  if (options->api_version && options->api_version[0]) {
    if (engine_version_number(options->api_version) < VERSION_LEAST)
      return plug_error(err, MBP_E_INVALID, "api_version '%.20s': 1.40 to " MOST_TEXT " are known",
                        options->api_version);
    (void) snprintf(engine->version, sizeof(engine->version), "%.15s", options->api_version);
  }
  return set_address(engine, options, err);
}

void engine_done(struct engine *engine)
{
  free(engine->address);
  free(engine->base);
  free(engine->socket);
  free(engine->ca_file);
  free(engine->cert_file);
  free(engine->key_file);
  (void) pthread_mutex_destroy(&engine->lock);
}

char *engine_escape(struct mbp_str text)
{
  static const char hex[] = "0123456789ABCDEF";
  char *out = malloc(3 * text.len + 1), *p = out;
  for (size_t i = 0; out && i < text.len; i++) {
    unsigned char c = (unsigned char) text.ptr[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~/", c))) {
      *p++ = (char) c;
    } else {
      *p++ = '%';
      *p++ = hex[c >> 4];
      *p++ = hex[c & 15];
    }
  }
  if (out)
    *p = 0;
  return out;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/* Of a tcp:// engine: the message is libcurl's, and knows nothing of what can be set. What else is told of the error
 * stays: whether it may pass decides about more than words. */
static int explain_address(const struct engine *engine, struct mbp_error *err)
{
  bool tls = strncmp(engine->base, "https:", 6) == 0;
  mag_autofree char *said = plug_dup(mbp_str(err->message));
  struct mbp_error told = PLUG_ERROR_INIT;
  (void) plug_error(&told, err->code, "no word from the Docker engine at %.100s: %.300s (check DOCKER_HOST, and %s)",
                    engine->address, said ? said : "",
                    tls ? "that the engine speaks TLS with the certificates of DOCKER_CERT_PATH"
                        : "DOCKER_TLS_VERIFY if the engine wants TLS");
  (void) snprintf(err->message, sizeof(err->message), "%s", told.message);
  return -err->code;
}

/* What libcurl says of a socket is not what helps. */
static int explain(const struct engine *engine, struct mbp_error *err)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!err || err->code != MBP_E_NETWORK)
    return err ? -err->code : 0;
  if (!engine->socket)
    return explain_address(engine, err);
  if (strlen(engine->socket) >= sizeof(address.sun_path))
    return -err->code;
  mag_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void) memcpy(address.sun_path, engine->socket, strlen(engine->socket) + 1);
  int number = fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? errno : 0;
  if (number == ENOENT)
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "no Docker engine: there is no %s; install and start one (`apt-get install docker.io`), or set "
                      "DOCKER_HOST to where it is",
                      engine->socket);
  if (number == EACCES)
    return plug_error(err, MBP_E_PERMISSION,
                      "permission denied on %s: `sudo usermod -aG docker $USER` and log in again (who may use the "
                      "socket is as good as root), or use a rootless engine",
                      engine->socket);
  if (number == ECONNREFUSED)
    return plug_error(err, MBP_E_UNAVAILABLE, "no Docker engine listens on %s: start it (`systemctl start docker`)",
                      engine->socket);
  return -err->code;
}

static bool contains(struct mbp_str text, const char *part)
{
  return text.len && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

int engine_say(const char *what, struct mbp_str message, int code, struct mbp_error *err)
{
  const char *cure = "";
  if (contains(message, "no space left on device")) {
    code = MBP_E_NO_SPACE;
    cure = " (free room on the engine's disk: `docker system prune`)";
  } else if (contains(message, "client version") && (contains(message, "too old") || contains(message, "too new"))) {
    code = MBP_E_UNSUPPORTED;
    cure = " (set api_version, or DOCKER_API_VERSION, to what the engine asks for)";
  } else if (contains(message, "HTTP request to an HTTPS server")) {
    code = MBP_E_INVALID;
    cure = " (it wants TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH)";
  } else if (contains(message, "exec format error")) {
    code = MBP_E_UNSUPPORTED;
    cure = " (the image is for another processor)";
  } else if (contains(message, "manifest unknown") || contains(message, "pull access denied")) {
    code = MBP_E_NOT_FOUND; /* of a registry; the engine's own status is 500 */
  } else if (contains(message, "is paused")) {
    code = MBP_E_BUSY;
    cure = " (resume the sandbox first)";
  }
  return plug_error(err, code, "%s: %.*s%s", what, (int) PLUG_MIN(message.len, (size_t) 300), message.ptr, cure);
}

static int code_of(int status)
{
  switch (status) {
  case 304:
    return MBP_E_EXISTS;
  case 400:
    return MBP_E_INVALID;
  case 401:
    return MBP_E_AUTH;
  case 403:
    return MBP_E_PERMISSION;
  case 404:
    return MBP_E_NOT_FOUND;
  case 409:
    return MBP_E_CONFLICT;
  default:
    return MBP_E_UPSTREAM;
  }
}

int engine_fail(struct engine *engine, struct mbp_http *http, const char *what, struct mbp_error *err)
{
  struct mbp_str body = {"", 0};
  struct mbp_json *document = NULL;
  int status = engine->http->status(http);
  struct mbp_error ignored = PLUG_ERROR_INIT;
  if (engine->http->body(http, &body, &ignored) == 0)
    (void) engine->json->parse(body, &document, NULL);
  struct mbp_str message = engine->json->str(engine->json->get(document, "message"));
  if (!message.len && body.len) /* of old engines, and of proxies */
    message = body;
  mag_autofree char *text = message.len ? plug_dup(message) : plug_printf("HTTP status %d", status);
  int r = engine_say(what, mbp_str(text), code_of(status), err);
  if (err) {
    err->upstream_status = status;
    if (status >= 500 && err->code == MBP_E_UPSTREAM)
      err->flags |= MBP_ERR_RETRYABLE;
  }
  engine->json->free(document);
  return r;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static int send_to(struct engine *engine, struct mbp_call *call, const char *url, const struct ask *ask,
                   struct mbp_http **ret_http, struct mbp_error *err)
{
  struct mbp_pair headers[3];
  size_t n = 0;
  if (ask->body.len || ask->content_type || (ask->flags & MBP_HTTP_STREAM_BODY))
    headers[n++] =
        (struct mbp_pair){mbp_str("Content-Type"), mbp_str(ask->content_type ? ask->content_type : "application/json")};
  if (ask->flags & MBP_HTTP_UPGRADE) {
    headers[n++] = (struct mbp_pair){mbp_str("Connection"), mbp_str("Upgrade")};
    headers[n++] = (struct mbp_pair){mbp_str("Upgrade"), mbp_str("tcp")};
  }
  struct mbp_http_request request = {
      .size = MBP_SIZE(struct mbp_http_request, max_body),
      .flags = ask->flags,
      .method = mbp_str(ask->method ? ask->method : "GET"),
      .url = mbp_str(url),
      .unix_socket = mbp_str(engine->socket),
      .headers = headers,
      .n_headers = n,
      .body = ask->body,
      .connect_timeout_ms = 10000,
      .idle_timeout_ms = ask->idle_ms < 0 ? 0
                         : ask->idle_ms   ? ask->idle_ms
                                          : ENGINE_QUICK_MS,
      .ca_file = mbp_str(engine->ca_file),
      .cert_file = mbp_str(engine->cert_file),
      .key_file = mbp_str(engine->key_file),
      .max_body = 16 << 20,
  };
  int r = engine->http->open(call, &request, ret_http, err);
  return r < 0 ? explain(engine, err) : 0;
}

/* The lower of the engine's version and ours: there is none that every engine accepts. */
static int negotiate(struct engine *engine, struct mbp_call *call, char version[16], struct mbp_error *err)
{
  (void) pthread_mutex_lock(&engine->lock);
  memcpy(version, engine->version, sizeof(engine->version));
  (void) pthread_mutex_unlock(&engine->lock);
  if (version[0])
    return 0;
  struct mbp_http *http;
  const struct ask ask = {0};
  mag_autofree char *url = plug_printf("%s/_ping", engine->base);
  if (!url)
    return plug_no_memory(err);
  int r = send_to(engine, call, url, &ask, &http, err);
  if (r < 0)
    return r;
  char text[16];
  struct mbp_str header = engine->http->header(http, "Api-Version");
  int status = engine->http->status(http);
  (void) snprintf(text, sizeof(text), "%.*s", (int) header.len, header.ptr);
  int number = engine_version_number(text);
  if (status / 100 != 2)
    r = engine_fail(engine, http, "the engine does not answer", err);
  else if (number == 0)
    r = plug_error(err, MBP_E_PROTOCOL, "%s answers, but not as a Docker engine does: check DOCKER_HOST",
                   engine->address);
  else if (number < VERSION_LEAST)
    r = plug_error(err, MBP_E_UNSUPPORTED,
                   "the Docker engine is too old: it speaks API %s, and 1.40 (Docker 19.03) is "
                   "the oldest that will do",
                   text);
  engine->http->close(http);
  if (r < 0)
    return r;
  (void) pthread_mutex_lock(&engine->lock);
  (void) snprintf(engine->version, sizeof(engine->version), "%s", number > VERSION_MOST ? MOST_TEXT : text);
  memcpy(version, engine->version, sizeof(engine->version));
  (void) pthread_mutex_unlock(&engine->lock);
  return 0;
}

int engine_ask(struct engine *engine, struct mbp_call *call, const char *path, const struct ask *ask,
               struct mbp_http **ret_http, struct mbp_error *err)
{
  struct mbp_error local = PLUG_ERROR_INIT;
  if (!err)
    err = &local;
  char version[sizeof(engine->version)];
  int r = negotiate(engine, call, version, err);
  if (r < 0)
    return r;
  mag_autofree char *url = plug_printf("%s/v%s%s", engine->base, version, path);
  return url ? send_to(engine, call, url, ask, ret_http, err) : plug_no_memory(err);
}

int engine_json(struct engine *engine, struct mbp_call *call, const char *path, const struct ask *ask, int also,
                const char *what, struct mbp_json **ret_json, struct mbp_error *err)
{
  struct mbp_http *http;
  struct mbp_str body;
  struct mbp_json *document = NULL;
  int r = engine_ask(engine, call, path, ask, &http, err);
  if (r < 0)
    return r;
  int status = engine->http->status(http);
  if (status == also)
    r = 0;
  else if (status / 100 != 2)
    r = engine_fail(engine, http, what, err);
  else if ((r = engine->http->body(http, &body, err)) == 0 && ret_json && body.len)
    r = engine->json->parse(body, &document, err);
  engine->http->close(http);
  if (r == 0 && ret_json)
    *ret_json = document;
  return r;
}
