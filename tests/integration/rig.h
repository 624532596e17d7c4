/* rig.h - a whole engine on the build tree's plugins, with state of its own, that can be looked into.
 *
 * Every append to the store passes through the rig: it keeps which records came in one batch, and can end the process
 * before or after the n-th one.
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include "agent/session.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <check.h>

#define KEY "sk-integration-0123456789abcdef" /* the API key of every service here */

/* One record of a log; owned. */
struct record {
  uint64_t seq, epoch;
  uint32_t klass;
  char *type, *payload;
};

struct records {
  struct record *items;
  size_t n;
};

struct rig {
  char dir[64];   /* everything below it; removed by rig_close */
  struct mag_engine *engine;
  struct mag_session *session; /* closed by rig_close */
  struct mag_definition definition;
  struct mag_outcome outcome;
  /* What the observer was shown. */
  struct mag_buf events;   /* payloads, a line each */
  struct mag_buf previews; /* text of all previews, in order */
  struct mag_buf shown;    /* text previews only */
  int answer;              /* of confirm: 1, 0, -1 nobody there (default) */
  void (*on_preview)(struct rig *rig, const struct mag_preview *preview);
  void (*on_event)(struct rig *rig, const struct mbp_record *record);
  void *ctx;
};

/* Where a program of the build tree is, or NULL. In a buffer that the next call overwrites. */
const char *rig_program(const char *path);
bool rig_has_plugin(const char *name); /* "compute-local" */
/* Writes a line on stderr, once for each reason: skipped tests are not silent. */
void rig_skip(const char *why);
/* Can this machine run bubblewrap? */
bool rig_has_bubblewrap(void);
/* A provider for the command's tools: "bubblewrap", else "local"; NULL: there is none. */
const char *rig_compute(void);

/* Sets up the environment (state directory, keys, base URLs at `url`, NULL: none) and opens an engine. `dir`: the
 * directory of an earlier rig, or NULL for a new one. */
void rig_open(struct rig *rig, const char *url, const char *dir);
void rig_close(struct rig *rig);   /* removes the directory */
void rig_leave(struct rig *rig);   /* closes, and leaves it */

/* A definition: model, tools as JSON array, compute. */
void rig_define(struct rig *rig, const char *model, const char *tools, const char *compute);
void rig_create(struct rig *rig);
/* Opens the session `id`; asserts. */
void rig_resume(struct rig *rig, const char *id);
/* Says `text` (NULL: nothing) and runs the turn; asserts that the log held. */
enum mag_ending rig_run(struct rig *rig, const char *text, const struct mag_limits *limits);

void rig_read(struct rig *rig, const char *id, struct records *records);
void records_done(struct records *records);
/* The n-th record of a type, from 0; NULL if there are fewer. */
const struct record *records_find(const struct records *records, const char *type, size_t n);
size_t records_count(const struct records *records, const char *type);
/* Is `text` in any payload? */
bool records_hold(const struct records *records, const char *text);
/* The text of all blocks of the n-th tool result, joined. In a buffer that the next call overwrites. */
const char *records_result(const struct records *records, size_t n, bool *ret_is_error);
/* The same of the n-th user.custom_tool_result. */
const char *records_custom(const struct records *records, size_t n, bool *ret_is_error);
/* Folds them from the beginning and asserts that every prefix is legal to project. */
void records_check(const struct records *records);

/* Batches since the engine was opened: "a+b+c d e+f", short names of record types. */
const char *rig_batches(void);
/* Ends the process with status 42 at the n-th append (from 1), before it reaches the store or after it. 0: never. */
void rig_crash_at(unsigned append, bool after);
unsigned rig_appends(void);

/* Appends an event from outside of the run (epoch 0). `members`: after id and type, e.g. "\"result\":\"allow\"". */
void rig_append_outside(struct rig *rig, const char *id, const char *type, const char *members);

/* Files in the rig's directory. */
void rig_write_file(struct rig *rig, const char *name, const char *text);
char *rig_read_file(struct rig *rig, const char *name); /* caller frees; "" if it is not there */
/* Absolute path in the rig's directory. In a buffer that the eighth next call overwrites. */
const char *rig_path(const struct rig *rig, const char *name);

#endif
