/* report.h - figures: one JSON line each as they come, and a table at the end. */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <stddef.h>

#define SAMPLES_MAX 512

struct samples {
  double values[SAMPLES_MAX];
  size_t n;
};

void samples_add(struct samples *samples, double value); /* beyond the maximum: left out */
double samples_median(const struct samples *samples);    /* 0 without any */

enum report_goal {
  GOAL_NONE,
  GOAL_RATIO_MAX, /* value / bare is at most the target */
  GOAL_MAX,
  GOAL_MIN,
};

/* `bare`: the same of the bare loop, or what the value is compared with; NULL: nothing. The texts must stay. */
void report(const char *metric, const char *unit, const struct samples *value, const struct samples *bare,
            enum report_goal goal, double target);
void report_table(void);

#endif
