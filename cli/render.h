/* render.h - shows a running session: the answer on stdout, what tools do on stderr; or one event a line (--json). Of a
 * session's log everything is on stdout, results of tools as well: there it is what was asked for. */
#ifndef MAG_CLI_RENDER_H
#define MAG_CLI_RENDER_H

#include "agent/session.h"

#include <stdio.h>

struct render {
  bool json;
  bool from_log;
  FILE *notes; /* where all but the answer goes */
  bool out_terminal, notes_terminal, colours;
  bool mid_line;       /* stdout does not stand at the start of a line */
  bool tool_mid_line;  /* the same for tool output in the notes */
  bool failed;         /* stdout is gone */
  bool output_seen;    /* what the tool that runs printed has been shown as it came */
  size_t output_shown; /* bytes of that */
  bool text_held, tool_held; /* the last piece ended inside of a character: see render_put_piece */
  char seen[MAG_ID_SIZE]; /* the message that was shown as it came */
};

void render_init(struct render *render, bool json);
void render_init_log(struct render *render, bool json);
/* The observer that feeds it; confirm is left to the caller. */
struct mag_observer render_observer(struct render *render);
void render_end(struct render *render);
/* Whoever speaks on stderr next starts on a new line. */
void render_break(struct render *render);

/* Text that others wrote: to a terminal without control characters but newline and tab, else as it is. */
void render_put(FILE *stream, bool terminal, struct mbp_str text);
/* The same for pieces of a stream, which may be cut anywhere: `held` (false at first) remembers that a first byte C2
 * still waits for its second one. */
void render_put_piece(FILE *stream, bool terminal, bool *held, struct mbp_str text);
/* The same as render_put, on one line. */
void render_put_line(FILE *stream, bool terminal, struct mbp_str text);

/* One stored record, as it would have been shown. */
void render_record(struct render *render, const struct mbp_record *record);

#endif
