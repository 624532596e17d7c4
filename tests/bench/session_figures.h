/* session_figures.h - runs the parts of sessions_bench, each in a process of its own, and reports what they print. */
#ifndef TESTS_BENCH_SESSION_FIGURES_H
#define TESTS_BENCH_SESSION_FIGURES_H

#include "model_server.h"

/* `root`: a directory for state, which the caller removes. `scale` divides the numbers of sessions: 1: a real run. */
void session_figures(struct model_server *server, const char *root, size_t runs, size_t scale);

#endif
