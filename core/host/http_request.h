/* http_request.h - a checked copy of what a plugin wants to send. Private to the HTTP client. */
#ifndef MAG_HOST_HTTP_REQUEST_H
#define MAG_HOST_HTTP_REQUEST_H

#include "base/buf.h"

#include <magent/mbp-host.h>

struct mag_http_request {
  uint32_t flags;
  bool follow; /* redirects */
  bool is_tls;
  char *method;
  char *url;
  char *host; /* for messages: the URL's host and port without user and password, or the socket's path */
  char *unix_socket, *ca_file, *cert_file, *key_file, *proxy; /* NULL where not given */
  char **headers;                                             /* "Name: value" */
  size_t n_headers;
  struct mbp_str body;
  struct mag_buf own_body; /* unless it is borrowed */
  int64_t content_length; /* of a streamed body; -1: not told */
  int64_t connect_timeout_ms, idle_timeout_ms, max_body;
};

/* MBP_E_INVALID names what is wrong. The result is to be given to _done also after a failure. */
int mag_http_request_init(struct mag_http_request *request, const struct mbp_http_request *from, struct mbp_error *err);
void mag_http_request_done(struct mag_http_request *request);

/* Is a header of that name among those to be sent? `name` without the colon, any case. */
bool mag_http_request_has(const struct mag_http_request *request, const char *name);

#endif
