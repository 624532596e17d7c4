/* sessions_bench.h - what sessions cost one process that holds many of them, or long ones. Each part runs in a process
 * of its own, through the core's API, and prints one line "name value" a figure. */
#ifndef TESTS_BENCH_SESSIONS_BENCH_H
#define TESTS_BENCH_SESSIONS_BENCH_H

/* argv: the part and its numbers:
 *   create N                 median ms of making a session, durably
 *   resume RECORDS N         median ms of opening a session of so many records, ready for its next request, and of
 *                            forking it
 *   list SESSIONS N          median ms of a page of 50
 *   idle N                   PSS of the process with so many open sessions that rest
 *   turns N COMPUTE TURNS [relaxed]   N sessions at once; wall and CPU. relaxed: the store does not wait for the disk
 * Returns an exit status. */
int sessions_bench(const char *plugin_dir, int argc, char **argv);

#endif
