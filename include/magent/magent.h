/* magent.h - managed agents inside a program. Link with `pkg-config --cflags --libs magent`.
 *
 *   struct magent *magent = NULL;
 *   struct magent_agent *agent = NULL;
 *   struct magent_error error;
 *   char *answer = NULL;
 *
 *   if (magent_open(NULL, &magent, &error) < 0 ||
 *       magent_agent_new(magent, NULL, &agent, &error) < 0 ||
 *       magent_execute(agent, "Write a Python script that prints Hello World and run it", &answer, &error) != 0)
 *     fprintf(stderr, "%s\n", error.message);
 *   else
 *     puts(answer);
 *   free(answer);
 *   magent_agent_free(agent);
 *   magent_close(magent);
 *
 * A context (struct magent) has plugins and the session store; one is enough for a process, several do not disturb one
 * another. An agent (struct magent_agent) is a definition of model, system prompt and tools, the environment that its
 * tools work in, and the session that it is talking in. Nothing costs anything before it is used: a session begins with
 * the first prompt, a sandbox with the first tool that needs one.
 *
 * Until 1.0 this interface may change with a release, and the SONAME with it.
 *
 * Results. Functions return 0, or a negative MBP_E_* code and a filled error; outputs are untouched then.
 * Functions that run a turn return how it ended: 0, or a positive MAGENT_* number and a filled error. `error` may be
 * NULL. What comes out in a `char **` or `struct ... **` is one piece of memory, the caller's, for free(3); texts
 * inside it are never NULL unless it is said. Text is UTF-8.
 *
 * Structs that the caller fills begin with `size`: sizeof(struct ...), else MBP_E_INVALID. So an older program runs
 * with a newer library.
 *
 * Threads. A context may be used by any number of threads at once, and so may an agent; but an agent runs one turn at a
 * time: what runs a turn, or changes the agent or its session (update, reset, restore, resume, add_tool, on_confirm,
 * compute_shutdown) answers MBP_E_BUSY beside another such function. All others may be called meanwhile. Callbacks come
 * from the thread that runs or pulls the turn, without any lock: they may call everything that another thread may call.
 * Only tools (struct magent_tool) run in threads of the library.
 *
 * Time. magent_execute, magent_stream and magent_stream_next wait for the turn, magent_stream_close and
 * magent_agent_free for the end of what runs, magent_compute_* for the sandbox; all others for the store alone. Signals
 * end no wait.
 *
 * A guest in your program. The library leaves signal handlers, signal masks, working directory, locale, environment and
 * umask alone. Its threads have all signals blocked. It waits only for children of its own, and never with wait(2); all
 * of its descriptors are CLOEXEC. No function may be called from a signal handler: write to magent_interrupt_fd there.
 * After fork(2) the child may call exec or _exit, and nothing of this library, unless the parent had not used it yet.
 */
#ifndef MAGENT_MAGENT_H
#define MAGENT_MAGENT_H

#include <magent/mbp.h> /* MBP_E_* */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MAGENT_API __attribute__((visibility("default")))
#else
#define MAGENT_API
#endif

struct magent;           /* plugins and the store */
struct magent_config;    /* an agent file that is being put together */
struct magent_agent;     /* a managed agent and its present session */
struct magent_stream;    /* a turn whose events are pulled */
struct magent_tool_call; /* a call of a tool of the program's own */

struct magent_error {
  int32_t code; /* MBP_E_*; 0 for an ending of a turn that is nobody's failure */
  int32_t reserved;
  char message[504]; /* one line, without secrets; says what to do where that is known */
};

/* "0.1.0"; static. */
MAGENT_API const char *magent_version(void);

/* ---- Context ---------------------------------------------------------------------------------------------------- */

struct magent_options {
  size_t size;
  const char *const *plugin_dirs; /* searched first and trusted; NULL-terminated, or NULL */
  const char *store;              /* a store plugin's name; NULL: what the defaults say */
  const char *store_options;      /* its options, YAML or JSON; NULL: what the defaults say */
};

/* Reads directories and the defaults file, opens nothing. `options` may be NULL. */
MAGENT_API int magent_open(const struct magent_options *options, struct magent **ret_magent,
                           struct magent_error *error);
/* Its agents must be freed before. Accepts NULL. */
MAGENT_API void magent_close(struct magent *magent);

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

/* What an agent file holds; the keys are those of magent-agent(5). Not for two threads at once. Never NULL: without
 * memory it is one that tells so.
 *
 *   struct magent_config *config = magent_config_new();
 *   magent_config_set(config, "model", "claude-sonnet-4-6");
 *   magent_config_set(config, "system", "You are a helpful assistant. Be concise.");
 *   magent_config_set(config, "compute.memory", "512M");
 *   if (magent_agent_new(magent, config, &agent, &error) < 0) ...
 */
MAGENT_API struct magent_config *magent_config_new(void);
MAGENT_API void magent_config_free(struct magent_config *config); /* accepts NULL */
/* `value`: a text is taken as it is, for all other types it is YAML or JSON: "2", "[bash, read]", "{pip: [numpy]}". A
 * key that is set again replaces what was said, and NULL takes it back. The first mistake is remembered and told by
 * magent_agent_new, so a row of sets needs no checks. */
MAGENT_API int magent_config_set(struct magent_config *config, const char *key, const char *value);
/* A whole agent file: later ones win, key by key. MBP_E_INVALID tells line and key. */
MAGENT_API int magent_config_parse(struct magent_config *config, const char *yaml_or_json, struct magent_error *error);
MAGENT_API int magent_config_load(struct magent_config *config, const char *path, struct magent_error *error);

/* ---- Agents ----------------------------------------------------------------------------------------------------- */

/* `config` is copied; NULL: the defaults. What can be checked without network or sandbox is checked now: keys
 * (MBP_E_INVALID), model, tools and provider (MBP_E_NOT_FOUND), what the provider cannot enforce
 * (MBP_E_UNSUPPORTED). */
MAGENT_API int magent_agent_new(struct magent *magent, const struct magent_config *config,
                                struct magent_agent **ret_agent, struct magent_error *error);
/* The same from a stored agent, or an agent file, that `reference` names as `magent run --agent` does: "researcher",
 * "researcher@2" (a version that is not the newest), an id, "./researcher.yaml". `config` (may be NULL) is laid over
 * it. MBP_E_NOT_FOUND; MBP_E_READ_ONLY: it is archived. */
MAGENT_API int magent_agent_open(struct magent *magent, const char *reference, const struct magent_config *config,
                                 struct magent_agent **ret_agent, struct magent_error *error);
/* Ends its sandbox; the session stays in the store, and can be resumed. No other function may be using the agent, and
 * its streams must be closed. Accepts NULL. */
MAGENT_API void magent_agent_free(struct magent_agent *agent);

/* Lays `changes` over the agent, from the next turn on; the conversation is kept, and a stored agent stays as it is.
 * `expected_version`: the version that you believe it to have (else MBP_E_CONFLICT, and nothing changes), or 0.
 * Changing nothing makes no new version. */
MAGENT_API int magent_update_agent(struct magent_agent *agent, const struct magent_config *changes,
                                   uint32_t expected_version, struct magent_error *error);

/* ---- Stored agents ---------------------------------------------------------------------------------------------- */

/* Agents that the store keeps under their names, with every version of each: those of `magent agent`. A session keeps
 * the version that it was begun with. `reference`: a name or an id, with "@2" for a version that is not the newest. */
struct magent_stored_agent {
  const char *id, *name, *model, *environment_id;
  const char *agent_json, *environment_json; /* the resources, in the shapes of the wire; a list leaves the second "" */
  int64_t created_ms, updated_ms, archived_ms; /* since 1970; 0: never */
  uint32_t version, environment_version;
};

struct magent_stored_agent_list {
  size_t n;
  const struct magent_stored_agent *const *agents; /* the newest version of each, newest first */
};

/* What comes out (ret_stored may be NULL but for get) is what is stored then. It is checked as by magent_agent_new, but
 * that keys and variables of the environment may be missing here. */

/* With the defaults of today filled in. MBP_E_INVALID: without a name; MBP_E_EXISTS: another one has it. */
MAGENT_API int magent_create_stored_agent(struct magent *magent, const struct magent_config *config,
                                          struct magent_stored_agent **ret_stored, struct magent_error *error);
/* Lays `changes` over it, as a new version, if they change anything. MBP_E_CONFLICT: the newest version is not
 * `expected_version` (0: any), or somebody else was faster; MBP_E_READ_ONLY: it is archived. */
MAGENT_API int magent_update_stored_agent(struct magent *magent, const char *reference,
                                          const struct magent_config *changes, uint32_t expected_version,
                                          struct magent_stored_agent **ret_stored, struct magent_error *error);
/* MBP_E_NOT_FOUND. */
MAGENT_API int magent_get_stored_agent(struct magent *magent, const char *reference,
                                       struct magent_stored_agent **ret_stored, struct magent_error *error);
MAGENT_API int magent_list_stored_agents(struct magent *magent, int archived_too,
                                         struct magent_stored_agent_list **ret_list, struct magent_error *error);
/* No new versions and no new sessions from now on; its sessions go on. Twice is once. */
MAGENT_API int magent_archive_stored_agent(struct magent *magent, const char *reference,
                                           struct magent_stored_agent **ret_stored, struct magent_error *error);

/* ---- Running ---------------------------------------------------------------------------------------------------- */

/* How a turn ended. */
#define MAGENT_END_TURN 0        /* answered */
#define MAGENT_REQUIRES_ACTION 1 /* a tool call waits for an answer: magent_answer_* */
#define MAGENT_LIMIT 2           /* a limit or budget was reached, which `error` names; can be gone on with */
#define MAGENT_REFUSED 3         /* the model refused */
#define MAGENT_FAILED 4          /* `error` says why; can be tried again */
#define MAGENT_INTERRUPTED 5

/* Says `prompt` and waits until the session is idle. *ret_answer (may be NULL): what the agent said last, after its
 * last tool call; "" if it said nothing. It is set for every ending. A NULL prompt goes on where the session
 * stopped. */
MAGENT_API int magent_execute(struct magent_agent *agent, const char *prompt, char **ret_answer,
                              struct magent_error *error);

#define MAGENT_EVENT 1       /* something durable: `json`, in the wire shape of docs/LOG-FORMAT.md */
#define MAGENT_TEXT 2        /* a piece of the answer, as it comes: `text` */
#define MAGENT_THINKING 3    /* a piece of what the model thinks, where it shows that: `text` */
#define MAGENT_TOOL_OUTPUT 4 /* a piece of what the tool `tool` prints: `text`, bytes as they are */
#define MAGENT_PROGRESS 5    /* a line for a human: `text`: an image is pulled, a request is tried again */

/* Something that happened; the library's. Members that do not apply are "" and 0. New kinds may come: skip what you do
 * not know. */
struct magent_event {
  uint32_t kind;
  int32_t ending;   /* of "session.status_idle": how the turn ended */
  const char *type; /* of an event: "agent.message", "agent.tool_use", ... */
  const char *id;   /* of an event; of a piece: of the event that will hold it, where it is known */
  const char *tool; /* the name of the tool that is called, or that prints */
  const char *text; /* of "agent.message", "user.message": its text; ends with a 0 that text_len does not count */
  size_t text_len;
  const char *json;
  size_t json_len;
  uint64_t seq; /* of an event: its place in the session's log, from 1 on, with gaps; for magent_read_events */
};

/* The same as magent_execute, shown as it comes. `each` borrows the event; what it returns but 0 interrupts the turn,
 * of which it is then shown the rest. */
MAGENT_API int magent_stream(struct magent_agent *agent, const char *prompt,
                             int (*each)(void *ctx, const struct magent_event *event), void *ctx,
                             struct magent_error *error);

/* The same, pulled: for programs with an event loop. The turn does not wait for its reader: what is not taken is kept,
 * but of what tools print no more than 1 MiB.
 *
 *   struct pollfd fd = {.fd = magent_stream_fd(stream), .events = POLLIN};
 *   do {
 *     poll(&fd, 1, -1);
 *     while ((r = magent_stream_next(stream, 0, &event, &error)) == 1)
 *       ...
 *   } while (r == -MBP_E_TIMEOUT);
 */
MAGENT_API int magent_stream_open(struct magent_agent *agent, const char *prompt, struct magent_stream **ret_stream,
                                  struct magent_error *error);
/* Readable while magent_stream_next has something to say. The stream's own: poll it, no more. */
MAGENT_API int magent_stream_fd(const struct magent_stream *stream);
/* Waits at most `timeout_ms` (-1: for ever). 1: *ret_event, borrowed until the next call. 0: that was all, the turn has
 * ended. -MBP_E_TIMEOUT: nothing yet. Any other: the turn could not be run or recorded. One thread at a time. */
MAGENT_API int magent_stream_next(struct magent_stream *stream, int timeout_ms, const struct magent_event **ret_event,
                                  struct magent_error *error);
/* Interrupts the turn if it still runs, waits for its end, and frees. Returns how the turn ended. NULL: 0. */
MAGENT_API int magent_stream_close(struct magent_stream *stream, struct magent_error *error);

/* ---- Meanwhile -------------------------------------------------------------------------------------------------- */

/* Ends the running turn now, or the next one as soon as it begins. The session stays usable. */
MAGENT_API void magent_interrupt(struct magent_agent *agent);
/* The same from a signal handler: write(2) one byte or more to this descriptor. It is the agent's own, non-blocking,
 * and valid until the agent is freed; the first call starts a thread. */
MAGENT_API int magent_interrupt_fd(struct magent_agent *agent, struct magent_error *error);
/* Speaks to the running turn: it reads `text` at the next tool boundary, before the model is asked again. Without a
 * running turn the next one begins with it. Durable when it returns. */
MAGENT_API int magent_steer(struct magent_agent *agent, const char *text, struct magent_error *error);
/* The same, but read when the running turn has ended, as the beginning of another one. */
MAGENT_API int magent_follow_up(struct magent_agent *agent, const char *text, struct magent_error *error);

/* ---- Tools of the program's own --------------------------------------------------------------------------------- */

/* A tool that is a function of this program.
 *
 *   static int calculate(void *ctx, struct magent_tool_call *call, const char *input)
 *   {
 *     magent_tool_text(call, evaluate(magent_tool_argument(call, "expression")));
 *     return 0;
 *   }
 *
 * `run` gives its result, of one or more blocks, and returns 0; or it returns MAGENT_LATER, and any thread gives the
 * result and ends with magent_tool_done. `input` is a JSON object that `input_schema` allows. It runs in a thread of
 * the library, one call of an agent at a time; with `read_only` side by side. One that has not answered after
 * `timeout_ms` is given up: the model is told so, and a result that comes then is dropped. */
struct magent_tool {
  size_t size;
  const char *name;         /* [A-Za-z0-9_-]{1,128} */
  const char *description;  /* for the model */
  const char *input_schema; /* a JSON Schema of type object; NULL: no arguments */
  int (*run)(void *ctx, struct magent_tool_call *call, const char *input);
  void *ctx;          /* must live until the agent is freed, and until a call that was given up has returned */
  int64_t timeout_ms; /* 0: 2 minutes */
  int32_t read_only;  /* 1: changes nothing: may run beside others, and again after a crash */
  int32_t reserved;
};

#define MAGENT_DENY 0
#define MAGENT_ALLOW 1
#define MAGENT_LATER 2
#define MAGENT_ALWAYS 3 /* this call, and every later one of the same tool in this session */

/* A custom tool of that name in the agent's configuration gets this function, and keeps its own description and schema;
 * else the tool is added. It stays with the agent through updates, resets and resumes. MBP_E_EXISTS: it was added. */
MAGENT_API int magent_add_tool(struct magent_agent *agent, const struct magent_tool *tool, struct magent_error *error);

/* A member of the input: a text as it is, all else as JSON; NULL: it is not there. Borrowed until the call's end. */
MAGENT_API const char *magent_tool_argument(struct magent_tool_call *call, const char *name);
MAGENT_API const char *magent_tool_name(struct magent_tool_call *call);
/* The event that asked for it, whose id a repeated call after a crash has as well; and the session. Borrowed alike. */
MAGENT_API const char *magent_tool_event_id(struct magent_tool_call *call);
MAGENT_API const char *magent_tool_session_id(struct magent_tool_call *call);
/* 1 once nobody waits for the result any more: interrupted, or given up. The descriptor is readable from then on, for a
 * function that polls; the call's own, or -1 without any to spare. */
MAGENT_API int magent_tool_cancelled(struct magent_tool_call *call);
MAGENT_API int magent_tool_cancel_fd(struct magent_tool_call *call);
/* A line for whoever watches the turn, as MAGENT_PROGRESS. No part of the result. */
MAGENT_API void magent_tool_progress(struct magent_tool_call *call, const char *line);
/* Blocks of the result; copied. 4 MiB in all, else -MBP_E_LIMIT. */
MAGENT_API int magent_tool_text(struct magent_tool_call *call, const char *text);
MAGENT_API int magent_tool_json(struct magent_tool_call *call, const char *json);
MAGENT_API int magent_tool_image(struct magent_tool_call *call, const char *media_type, const void *data, size_t len);
/* What went wrong: the whole result counts as an error, which the model sees. */
MAGENT_API int magent_tool_error(struct magent_tool_call *call, const char *message);
/* After MAGENT_LATER: the result is whole; the call is gone. */
MAGENT_API void magent_tool_done(struct magent_tool_call *call);

/* May this call run? Asked for tools whose policy is always_ask. MAGENT_LATER: the session becomes idle and waits for
 * magent_answer_confirmation; so it does without a callback. `input` is JSON. Between turns; NULL takes it back. */
MAGENT_API int magent_on_confirm(struct magent_agent *agent,
                                 int (*confirm)(void *ctx, const char *tool, const char *input), void *ctx,
                                 struct magent_error *error);

/* Answers for a session that is idle with MAGENT_REQUIRES_ACTION, from any process; then go on with
 * magent_execute(agent, NULL, ...). `event_id`: of the agent.tool_use or agent.custom_tool_use; NULL if only one waits.
 * `answer`: MAGENT_ALLOW, MAGENT_ALWAYS or MAGENT_DENY; `message`: for the model, with a no, or NULL.
 * MBP_E_NOT_FOUND: no such session, or nothing in it waits; MBP_E_CONFLICT: it has been answered. */
MAGENT_API int magent_answer_confirmation(struct magent *magent, const char *session_id, const char *event_id,
                                          int answer, const char *message, struct magent_error *error);
/* `result`: what the model is shown, as it is; the JSON object {"content": [text and image blocks], "is_error": BOOL}
 * says more. */
MAGENT_API int magent_answer_tool(struct magent *magent, const char *session_id, const char *event_id,
                                  const char *result, int is_error, struct magent_error *error);

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

struct magent_usage {
  int64_t input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens;
};

struct magent_session_info {
  const char *id;
  const char *status; /* "idle", "running", "terminated" (archived); "" before the first turn */
  const char *title;
  const char *agent_id, *agent; /* the agent's id and name */
  const char *model;
  const char *environment_id;
  const char *forked_from;   /* a session's id, or "" */
  const char *error;         /* why the last turn failed, or "" */
  const char *currency;
  int64_t cost_micros;       /* millionths of `currency`; -1: not known */
  struct magent_usage usage; /* sums; a request whose end was lost counts at its estimate */
  int64_t turns, steps, tool_calls, active_ms;
  int64_t created_ms, updated_ms, archived_ms; /* since 1970; 0: never */
  uint32_t agent_version;
  int32_t ending; /* of the last turn: MAGENT_* */
};

/* The agent's present session; before its first prompt texts are "" and numbers 0, but the cost is not known. Also
 * while a turn runs. */
MAGENT_API int magent_retrieve_session(struct magent_agent *agent, struct magent_session_info **ret_info,
                                       struct magent_error *error);
/* Any session. MBP_E_NOT_FOUND. */
MAGENT_API int magent_get_session(struct magent *magent, const char *session_id, struct magent_session_info **ret_info,
                                  struct magent_error *error);

struct magent_query {
  size_t size;
  const char *status; /* NULL: any */
  const char *agent;  /* id or name; NULL: any */
  int64_t created_after_ms, created_before_ms; /* 0: no bound */
  const char *page;   /* where the list before went on; NULL: the first */
  uint32_t limit;     /* of a page; 0: 100 */
  int32_t archived_too;
  int32_t oldest_first;
  int32_t reserved;
};

struct magent_session_list {
  size_t n;
  const struct magent_session_info *const *sessions; /* newest first */
  const char *next; /* page token, or "" */
};

/* `query` may be NULL.
 *
 *   if (magent_list_sessions(magent, NULL, &list, &error) == 0)
 *     for (size_t i = 0; i < list->n; i++)
 *       printf("%s  %s\n", list->sessions[i]->id, list->sessions[i]->title);
 *   free(list);
 */
MAGENT_API int magent_list_sessions(struct magent *magent, const struct magent_query *query,
                                    struct magent_session_list **ret_list, struct magent_error *error);

/* The next prompt begins a new session. Agent and environment stay, the old session stays in the store. */
MAGENT_API int magent_reset_session(struct magent_agent *agent, struct magent_error *error);
/* As if the agent had just been made from its configuration: its ids and its version are forgotten too. */
MAGENT_API int magent_reset_all(struct magent_agent *agent, struct magent_error *error);
/* Goes on with a session, of whatever process, with all that was said and the agent that it had. MBP_E_NOT_FOUND;
 * MBP_E_BUSY while somebody else has it. The agent keeps its present session then. */
MAGENT_API int magent_resume_session(struct magent_agent *agent, const char *session_id, struct magent_error *error);

#define MAGENT_ID_SIZE 48 /* bytes of an id, with its 0 */

/* What another process needs to go on. Plain data that never grows; "" and 0 for what there is not yet. */
struct magent_ids {
  char agent_id[MAGENT_ID_SIZE], environment_id[MAGENT_ID_SIZE], session_id[MAGENT_ID_SIZE];
  uint32_t agent_version, environment_version;
};

MAGENT_API int magent_save_ids(struct magent_agent *agent, struct magent_ids *ret_ids, struct magent_error *error);
/* Takes them over after checking that each is known (MBP_E_NOT_FOUND; also a version that there never was, and the
 * message says which there are), and resumes the session; without one (saved after a reset) the next prompt begins one
 * under these ids, with the stored agent if it is one that is stored (MBP_E_READ_ONLY: archived). Changes nothing that
 * is stored. */
MAGENT_API int magent_restore_ids(struct magent_agent *agent, const struct magent_ids *ids, struct magent_error *error);
/* The same as a file, also that of `magent session save` and `restore`: a line of JSON, written whole or not at all,
 * which only its owner may read. MBP_E_INVALID: what could not be read again; what is no such file, and the message
 * names file and key. MBP_E_UNSUPPORTED: from a newer magent. */
MAGENT_API int magent_ids_write(const struct magent_ids *ids, const char *path, struct magent_error *error);
MAGENT_API int magent_ids_read(const char *path, struct magent_ids *ret_ids, struct magent_error *error);

/* A session of whatever process, by its id: also of one that runs elsewhere, or that no agent of this program has. From
 * any thread. MBP_E_NOT_FOUND. */

#define MAGENT_STEER 1     /* read at the next tool boundary of the running turn, as with magent_steer */
#define MAGENT_FOLLOW_UP 2 /* read when the running turn has ended, as with magent_follow_up */

/* Says `text` to it; durable when it returns. A session that does not run has it for its next turn. `delivery`: one of
 * the two above. ret_event_id, *ret_running (may be NULL): the id of the user.message; whether a turn runs now, in
 * whichever process. MBP_E_READ_ONLY: it is archived. */
MAGENT_API int magent_send(struct magent *magent, const char *session_id, const char *text, int delivery,
                           char ret_event_id[MAGENT_ID_SIZE], int *ret_running, struct magent_error *error);
/* Ends the turn that runs now, within a moment, and does not wait for that. *ret_running (may be NULL) 0: none ran, and
 * nothing was done; unlike magent_interrupt, it does not hold for the next one. */
MAGENT_API int magent_interrupt_session(struct magent *magent, const char *session_id, int *ret_running,
                                        struct magent_error *error);
/* A page of what happened, also while the session runs, or once it is archived: at most `limit` events (0: 100; never
 * more than 1000), from the place `from` in its log on (0 or 1: the beginning). `each` borrows the event, which is a
 * MAGENT_EVENT; it is called before this returns, and what it returns but 0 ends the page behind that event. *ret_next:
 * the next page's `from`, or `from` if there is nothing yet. A user event that was processed later says so in its
 * processed_at, which is null while it waits.
 *
 *   uint64_t from, next = 1;
 *   do
 *     r = magent_read_events(magent, id, from = next, 0, show, NULL, &next, &error);
 *   while (r == 0 && next > from);
 */
MAGENT_API int magent_read_events(struct magent *magent, const char *session_id, uint64_t from, uint32_t limit,
                                  int (*each)(void *ctx, const struct magent_event *event), void *ctx,
                                  uint64_t *ret_next, struct magent_error *error);

struct magent_fork_options {
  size_t size;
  const char *event_id;  /* the last event that it keeps; NULL: all */
  const char *title;     /* NULL: that of the old session */
  int32_t without_files; /* 1: an empty private workspace instead of a copy */
  int32_t reserved;
};

/* A new session that goes on from there; the budget is the same, and what was used of it begins at 0. The old one may
 * run. `options` may be NULL. */
MAGENT_API int magent_fork_session(struct magent *magent, const char *session_id,
                                   const struct magent_fork_options *options, char ret_id[MAGENT_ID_SIZE],
                                   struct magent_error *error);
MAGENT_API int magent_set_title(struct magent *magent, const char *session_id, const char *title,
                                struct magent_error *error);
/* JSON or YAML, the keys and values of an agent file's budget: "{tokens: 100000, cost: 2.50, time: 30m}"; null removes
 * a bound, and what is not named stays. 0 is refused (MBP_E_INVALID), since it reads as "nothing at all" and as "no
 * bound". Also while it runs. */
MAGENT_API int magent_set_budget(struct magent *magent, const char *session_id, const char *budget,
                                 struct magent_error *error);
/* No more turns; it can still be read and forked. MBP_E_BUSY while it is open. */
MAGENT_API int magent_archive_session(struct magent *magent, const char *session_id, struct magent_error *error);
/* Removes its log and its private workspace. MBP_E_BUSY while it is open. */
MAGENT_API int magent_delete_session(struct magent *magent, const char *session_id, struct magent_error *error);

/* ---- Compute, without a model ----------------------------------------------------------------------------------- */

/* The sandbox of the agent's session: the same that its tools work in, also while a turn runs. A session begins if
 * there is none, since what is made must be found again after a crash. MBP_E_BUSY: an agent whose tools need no sandbox
 * is running a turn. */

struct magent_compute_info {
  const char *provider;
  const char *status;      /* "none", "running" */
  const char *id;          /* the provider's name for it, or "" */
  const char *working_dir; /* inside, or "" */
  const char *network;     /* the policy that is enforced: "none", "host", ... */
  const char *limits;      /* for people: which limits are in force and how, or "" */
  int32_t isolated;        /* 0: what runs there has your own rights */
  int32_t reserved;
};

/* Makes the sandbox now, not with the first tool. */
MAGENT_API int magent_compute_provision(struct magent_agent *agent, struct magent_error *error);
/* Makes nothing. */
MAGENT_API int magent_compute_status(struct magent_agent *agent, struct magent_compute_info **ret_info,
                                     struct magent_error *error);

struct magent_command_result {
  int32_t exit_code; /* 0..255; 128 + signal */
  int32_t timed_out;
  const char *output, *errors; /* stdout and stderr; end with a 0 that the lengths do not count */
  size_t output_len, errors_len;
  int64_t dropped;     /* bytes beyond 1 MiB of both together */
  const char *message; /* one line about an end that was no exit: "killed: memory limit of 512 MiB"; or "" */
};

/* Runs `command` with the sandbox's sh -c, stdin empty. 0 whatever its exit code; timeout_ms 0: 2 minutes, then its
 * whole process tree is killed. */
MAGENT_API int magent_compute_execute(struct magent_agent *agent, const char *command, int64_t timeout_ms,
                                      struct magent_command_result **ret_result, struct magent_error *error);
/* Regular files between this machine and the sandbox, with their mode; relative paths inside are below the working
 * directory; missing directories are made there, and what is there is replaced. */
MAGENT_API int magent_compute_upload(struct magent_agent *agent, const char *local_path, const char *path,
                                     struct magent_error *error);
MAGENT_API int magent_compute_download(struct magent_agent *agent, const char *path, const char *local_path,
                                       struct magent_error *error);
/* The sandbox goes, the workspace stays; the next use makes a new one. MBP_E_BUSY while something runs in it. */
MAGENT_API int magent_compute_shutdown(struct magent_agent *agent, struct magent_error *error);

#ifdef __cplusplus
}
#endif
#endif
