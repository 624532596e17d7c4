/* delta_bench.h - CPU of one text delta, from the bytes of the socket to the caller's callback. */
#ifndef TESTS_BENCH_DELTA_BENCH_H
#define TESTS_BENCH_DELTA_BENCH_H

/* In a process of its own, whose CPU is all counted: prints microseconds a delta. Returns an exit status. */
int delta_bench(const char *plugin_dir);

#endif
