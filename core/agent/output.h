/* output.h - what a running tool has printed, in a file beside the log: if this process dies, whoever goes on with the
 * session can tell the model how far the tool had come.
 *
 * One file a session, made with the first output, of bounded size: the beginning and the end of what the last tool
 * printed that may not be repeated (of these one runs at a time). It is a help, not a record: where it cannot be
 * written, nothing fails.
 */
#ifndef MAG_AGENT_OUTPUT_H
#define MAG_AGENT_OUTPUT_H

#include "base/id.h"

#include <magent/mbp.h>
#include <stdbool.h>

#define MAG_OUTPUT_HEAD 4096
#define MAG_OUTPUT_TAIL 8192

struct mag_output {
  const char *session;        /* id, borrowed; empty: none yet */
  int fd;                     /* -1: not made yet */
  bool failed;                /* it cannot be */
  char event_id[MAG_ID_SIZE]; /* of the running tool; empty: nothing is kept */
  uint64_t total;             /* bytes so far */
};

void mag_output_init(struct mag_output *output, const char *session);
/* The next tool runs: its event id, or NULL if what it prints need not be kept. */
void mag_output_begin(struct mag_output *output, const char *event_id);
/* More of what the tool with that id has printed; it is in the file when this returns. One thread at a time. */
void mag_output_add(struct mag_output *output, const char *event_id, struct mbp_str data);
/* Removes the file, unless `keep`. */
void mag_output_done(struct mag_output *output, bool keep);

/* A line that says how much that tool had printed, and the beginning and the end of it. Hostile bytes. NULL: nothing is
 * known. Caller frees. */
char *mag_output_quote(const char *session, const char *event_id, size_t *ret_len);

/* The file's path; NULL without HOME or memory. Caller frees. */
char *mag_output_path(const char *session);

#endif
