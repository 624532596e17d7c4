/* http.h - the HTTP client behind magent.http/1 (see mbp-host.h); the core uses the same table.
 *
 * One thread of the process runs all transfers. It is started, and libcurl initialised, by the first `open`, or before
 * by mag_http_warm. It blocks every signal. Proxies come from the environment, which libcurl reads in that thread: a
 * program that changes its environment does so before.
 *
 * fork: the child has no HTTP thread and must not use this table; a child that execs has no trouble, for every
 * descriptor is closed on exec. No pthread_atfork handler is needed for that, and none is set.
 */
#ifndef MAG_HOST_HTTP_H
#define MAG_HOST_HTTP_H

#include <magent/mbp-host.h>

extern const struct mbp_http_v1 mag_http_table;

/* Starts it in the background, for a caller that will soon open something and has other work until then. */
void mag_http_warm(void);
/* Waits until that start is over. Before a program exits: libcurl must not start beside exit handlers. */
void mag_http_settle(void);

/* Ends the thread and closes the connections that are kept for reuse; exchanges still open fail. For a program that is
 * about to exit, so that no TLS work runs beside exit handlers. A later `open` starts anew. Nothing to do: fine. */
void mag_http_stop(void);

#endif
