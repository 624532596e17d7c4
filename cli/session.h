/* session.h - what the files of `magent session` share. One function a sub-command; it returns the exit status. */
#ifndef MAG_CLI_SESSION_H
#define MAG_CLI_SESSION_H

#include "cli.h"

#include "agent/sessions.h"
#include "base/json.h"

struct session_arguments {
  const char *command; /* "session list" */
  char **words;        /* ID, TEXT and the like */
  size_t n_words;
  bool json, yes, follow, without_files;
  const char *event, *title;
  struct mag_session_filter filter;
  int64_t before_ms;          /* --older-than; 0: not said */
  bool dry_run;
  bool all;                   /* no limit was given */
  struct mbp_writer *budget;  /* an object that is not ended yet; NULL: not said */
};

int session_list(struct cli *cli, struct session_arguments *arguments);
int session_info(struct cli *cli, struct session_arguments *arguments);
int session_show(struct cli *cli, struct session_arguments *arguments);
int session_tail(struct cli *cli, struct session_arguments *arguments);
int session_resume(struct cli *cli, struct session_arguments *arguments);
int session_interrupt(struct cli *cli, struct session_arguments *arguments);
int session_steer(struct cli *cli, struct session_arguments *arguments);
int session_send(struct cli *cli, struct session_arguments *arguments);
int session_title(struct cli *cli, struct session_arguments *arguments);
int session_update(struct cli *cli, struct session_arguments *arguments);
int session_archive(struct cli *cli, struct session_arguments *arguments);
int session_fork(struct cli *cli, struct session_arguments *arguments);
int session_rm(struct cli *cli, struct session_arguments *arguments);
int session_save(struct cli *cli, struct session_arguments *arguments);
int session_restore(struct cli *cli, struct session_arguments *arguments);

/* Prints the unified view of a session: a line of JSON, or lines for a human. 0 or negative. */
int session_print_info(struct mag_engine *engine, const char *id, bool json, struct mbp_error *err);

#endif
