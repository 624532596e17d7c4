#include "report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

static struct row {
  const char *metric, *unit;
  double value, bare, target;
  enum report_goal goal;
} rows[ROWS_MAX];
static size_t n_rows;

void samples_add(struct samples *samples, double value)
{
  if (samples->n < SAMPLES_MAX)
    samples->values[samples->n++] = value;
}

static int compare(const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static struct samples sorted(const struct samples *samples)
{
  struct samples copy = *samples;
  qsort(copy.values, copy.n, sizeof(copy.values[0]), compare);
  return copy;
}

double samples_median(const struct samples *samples)
{
  struct samples all = sorted(samples);
  return all.n == 0 ? 0 : (all.values[(all.n - 1) / 2] + all.values[all.n / 2]) / 2;
}

static bool is_met(const struct row *row)
{
  switch (row->goal) {
  case GOAL_RATIO_MAX:
    return row->bare > 0 && row->value / row->bare <= row->target;
  case GOAL_MAX:
    return row->value <= row->target;
  case GOAL_MIN:
    return row->value >= row->target;
  default:
    return true;
  }
}

void report(const char *metric, const char *unit, const struct samples *value, const struct samples *bare,
            enum report_goal goal, double target)
{
  if (n_rows == ROWS_MAX || value->n == 0)
    return;
  struct samples all = sorted(value);
  struct row *row = &rows[n_rows++];
  *row = (struct row){metric, unit, samples_median(value), bare ? samples_median(bare) : 0, target, goal};
  printf("{\"metric\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"runs\":%zu,\"min\":%.4g,\"max\":%.4g", metric, row->value,
         unit, all.n, all.values[0], all.values[all.n - 1]);
  if (row->bare > 0)
    printf(",\"bare\":%.4g,\"ratio\":%.3g", row->bare, row->value / row->bare);
  if (goal != GOAL_NONE)
    printf(",\"target\":\"%s %g%s\",\"met\":%s", goal == GOAL_MIN ? ">=" : "<=", target,
           goal == GOAL_RATIO_MAX ? " x bare" : "", is_met(row) ? "true" : "false");
  printf("}\n");
  fflush(stdout);
}

void report_table(void)
{
  printf("\n%-34s %10s %-8s %10s %7s  %-12s %s\n", "METRIC", "VALUE", "UNIT", "BARE", "RATIO", "TARGET", "MET");
  for (size_t i = 0; i < n_rows; i++) {
    const struct row *row = &rows[i];
    char bare[32] = "", ratio[32] = "", target[32] = "";
    if (row->bare > 0) {
      (void) snprintf(bare, sizeof(bare), "%.4g", row->bare);
      (void) snprintf(ratio, sizeof(ratio), "%.2f", row->value / row->bare);
    }
    if (row->goal != GOAL_NONE)
      (void) snprintf(target, sizeof(target), "%s %g%s", row->goal == GOAL_MIN ? ">=" : "<=", row->target,
                      row->goal == GOAL_RATIO_MAX ? " x" : "");
    printf("%-34s %10.4g %-8s %10s %7s  %-12s %s\n", row->metric, row->value, row->unit, bare, ratio, target,
           row->goal == GOAL_NONE ? "" : is_met(row) ? "yes" : "NO");
  }
}
