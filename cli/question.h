/* question.h - puts a tool call that waits for a yes or no to whoever sits at the terminal. */
#ifndef MAG_CLI_QUESTION_H
#define MAG_CLI_QUESTION_H

#include "agent/session.h"
#include "render.h"

struct question {
  struct render render; /* first: an observer's ctx is both */
  struct mag_session *session;
  bool left; /* the user went away: no more questions in this run */
};

/* Is there somebody to ask? */
bool question_possible(void);

/* Lets the observer of `question->render` ask, too: the whole call is shown, and y, n, a reason or "always" is read.
 * Ctrl-C and the end of input leave the call waiting; an answer from another process ends the question. */
void question_observe(struct question *question, struct mag_observer *observer);

/* The whole input of a call, a member a line, as nothing but visible characters. */
void question_show_input(FILE *stream, struct mbp_str input);

#endif
