/* engine.h - the Docker engine under test, seen past the plugin. */
#ifndef MAG_TEST_COMPUTE_ENGINE_H
#define MAG_TEST_COMPUTE_ENGINE_H

#include "base/buf.h"

#include <stddef.h>

const char *engine_socket(void); /* its path */

/* scripts/docker-engine VERB DIR [ARGUMENT...]; fails the test if it fails. */
void engine_script(const char *verb, const char *dir, const char *const *arguments);
void engine_kill(void);  /* the daemon, as a crash would */
void engine_start(void); /* it again */

/* One request by hand; the status, and the body unless NULL. */
int engine_request(const char *socket_path, const char *method, const char *path, struct mag_buf *body);
/* The same with a body of JSON. */
int engine_send(const char *socket_path, const char *method, const char *path, const char *json, struct mag_buf *body);
/* Containers of every kind, running or not, of magent or not: it is a private engine. */
size_t engine_containers(const char *socket_path);
/* Waits until there are so many. */
bool engine_has_containers(const char *socket_path, size_t number, int64_t wait_ms);
/* Removes them all: what a test that failed has left is not the next one's. */
void engine_clear(const char *socket_path);
/* The name or id of the only container. In a static buffer. */
const char *engine_only_container(const char *socket_path);

#endif
