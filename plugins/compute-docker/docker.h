/* docker.h - the parts of compute-docker.
 *
 * A sandbox is a container whose main process is `magent-sandbox serve`. Everything about the container goes over the
 * engine's API (engine.h); everything that happens inside goes over channels to that server, each of which is one exec
 * of the engine's that stays open and is used again. So a command costs a round trip and not three API calls, and what
 * execs lack is there: kills of whole trees, certain exit codes, output that can be asked for again.
 *
 * The container's name is made from the sandbox's key, and the key is its id: any process can find it, and creating it
 * twice cannot happen.
 */
#ifndef MAG_DOCKER_H
#define MAG_DOCKER_H

#include "plugins/common/exec.h"
#include "plugins/common/frame.h"
#include "plugins/compute-docker/engine.h"
#include "plugins/compute-docker/stream.h"

#define DOCKER_DIRECTORY "/run/magent"
#define DOCKER_HELPER DOCKER_DIRECTORY "/magent-sandbox"
#define DOCKER_HOME "/home/magent"
#define DOCKER_WORKING_DIR "/workspace"

#define LABEL_KEY "magent.key"
#define LABEL_SESSION "magent.session"
#define LABEL_OWNER "magent.owner"
#define LABEL_CREATED "magent.created"
#define LABEL_DEADLINE "magent.deadline"
#define LABEL_MAKER "magent.maker"

struct channel; /* one open exec: a connection to the server inside */

/* A process whose EXEC is under way here. */
struct watched {
  struct watched *next;
  const char *key, *user;
  struct channel *channel; /* NULL while there is none */
  pthread_mutex_t stdin_lock;
  int64_t taken; /* of its stdin */
};

/* A container as this process knows it. */
struct box {
  struct box *next;
  unsigned refs;
  struct mbp_instance *instance;
  pthread_mutex_t lock;
  char *key, *name, *session, *working_dir, *limits;
  char *container; /* its id, which no other container ever has */
  char *maker;     /* which attempt of which process made it */
  int64_t created_ms, memory_bytes;
  uint32_t network, state; /* MBP_SANDBOX_* when it was last looked at */
  struct channel *idle;
  struct watched *watched;
  struct plug_list users; /* for whom a server has been started */
};

struct mbp_instance {
  const struct mbp_host *host;
  const struct mbp_config *config;
  struct engine engine;
  pthread_mutex_t lock;
  struct box *boxes;
  bool swept;
};

/* plugin.c */
const char *docker_option(struct mbp_instance *instance, const char *key, const char *otherwise);
int64_t docker_number(struct mbp_instance *instance, const char *key, int64_t otherwise);

/* box.c */
struct box *box_ref(struct box *box);
void box_unref(struct box *box);
/* With a reference; NULL: not known here. */
struct box *box_find(struct mbp_instance *instance, struct mbp_str key);
/* With a reference: also one of another process. NULL and err: MBP_E_NOT_FOUND, MBP_E_LOST. */
struct box *box_need(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, struct mbp_error *err);
/* Puts a new one into the table, or finds that there is one (whose place it takes). */
void box_enter(struct mbp_instance *instance, struct box *box);
void box_leave(struct mbp_instance *instance, struct mbp_str key); /* out of the table; its channels are closed */
/* A container as inspect tells it. NULL without memory, or if it is none of ours. */
struct box *box_from(struct mbp_instance *instance, const struct mbp_json *inspected);
struct mbp_sandbox_info box_info(struct box *box);
char *box_name(struct mbp_instance *instance, struct mbp_str key);
/* Asks the engine. 0 with a box, or -MBP_E_NOT_FOUND. */
int box_inspect(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, struct box **ret_box,
                struct mbp_error *err);

/* container.c */
int container_create(struct mbp_instance *instance, struct mbp_call *call, const struct mbp_sandbox_spec *spec,
                     struct box **ret_box, bool *ret_existed, struct mbp_error *err);
/* Nobody can cancel it. A container that is not there is no error. */
int container_remove(struct mbp_instance *instance, struct mbp_str key, struct mbp_error *err);
int container_pause(struct mbp_instance *instance, struct mbp_call *call, struct mbp_str key, bool pause,
                    struct mbp_error *err);
/* Every container of ours: `each` gets one of the list, negative stops. */
int container_list(struct mbp_instance *instance, struct mbp_call *call,
                   int (*each)(void *ctx, struct mbp_instance *instance, const struct mbp_json *listed), void *ctx,
                   struct mbp_error *err);
/* Removes what its deadline should have removed, and what was never started. */
void container_sweep(struct mbp_instance *instance, struct mbp_call *call);

/* spec.c */
int spec_check_working_dir(struct mbp_str path, struct mbp_error *err);
/* The body of a create. NULL and err. */
char *spec_body(struct mbp_instance *instance, const struct mbp_sandbox_spec *spec, const char *image,
                const char *maker, struct mbp_error *err);

/* image.c: makes sure that the engine has the image and that magent-sandbox runs in it. */
int image_ensure(struct mbp_instance *instance, struct mbp_call *call, const char *image, struct mbp_error *err);

/* archive.c */
/* The tar that is put into a new container: magent-sandbox, home and working directory. malloc'ed. */
int archive_of_sandbox(struct mbp_instance *instance, const char *working_dir, char **ret_bytes, size_t *ret_len,
                       struct mbp_error *err);
/* mag_files_get of a container that is suspended: no command can run there, but the engine can read its files. Links
 * are not followed. */
int archive_get(struct box *box, struct mbp_call *call, struct mbp_str path, int64_t limit,
                int (*data)(void *ctx, const char *bytes, size_t len), void *ctx, struct mbp_file_info *ret_info,
                struct mbp_error *err);

/* channel.c */
/* One for `user` (empty: the container's own): an idle one, or a new one. */
int channel_take(struct box *box, struct mbp_call *call, const char *user, struct channel **ret_channel,
                 struct mbp_error *err);
struct channel *channel_ref(struct channel *channel);
void channel_unref(struct channel *channel);
/* Nothing is under way on it: for the next one. The reference goes with it. */
void channel_give_back(struct channel *channel);
/* The server at its other end: another number, another server. */
uint64_t channel_server(const struct channel *channel);
/* One request of up to two parts. Any thread. */
int channel_send(struct channel *channel, uint32_t op, const void *head, size_t head_len, struct mbp_str data,
                 struct mbp_error *err);
/* Next answer, borrowed until the next use: 1; 0: `until_ms` (monotonic) has come; -MBP_E_CANCELLED (the channel is
 * still good; `call` may be NULL); -MBP_E_NETWORK it was cut; -MBP_E_PROTOCOL. */
int channel_next(struct channel *channel, struct mbp_call *call, int64_t until_ms, struct mag_answer *answer,
                 struct mbp_error *err);
/* For requests that are answered by one DONE. */
int channel_done(struct channel *channel, struct mbp_call *call, struct mbp_error *err);
void channel_close_all(struct box *box);

/* run.c: mag_exec_run for containers. `attach`: to a process that runs, from byte `from` on. */
int run_exec(struct box *box, struct mbp_call *call, const struct mbp_exec *exec, const struct mag_exec_sink *sink,
             struct mag_exec_end *ret_end, struct mbp_error *err);
int run_attach(struct box *box, struct mbp_call *call, const char *key, int64_t from, const struct mag_exec_sink *sink,
               struct mag_exec_end *ret_end, struct mbp_error *err);

/* process.c: what else can be done to processes. */
int process_signal(struct box *box, struct mbp_call *call, struct mbp_str key, uint32_t signal, bool tree,
                   struct mbp_error *err);
int process_write(struct box *box, struct mbp_call *call, struct mbp_str key, struct mbp_str data, bool eof,
                  struct mbp_error *err);
int process_list(struct box *box, struct mbp_call *call, struct mbp_error *err);
int process_touch(struct box *box, struct mbp_call *call, struct mbp_error *err);
/* Copies a key. False: it is too long. */
bool process_key(char out[MAG_FRAME_KEY], struct mbp_str key);

#endif
