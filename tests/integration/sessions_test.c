/* Sessions as a whole: what they use and may use, what reaches them from outside, their forks and their views. */
#include "sessions_test.h"
#include "../lib/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const char *const *computes(void)
{
  static const char *found[2];
  found[0] = rig_has_plugin("compute-local") ? "local" : rig_has_bubblewrap() ? "bubblewrap" : NULL;
  if (!found[0])
    rig_skip("no compute provider here: tests with tools are left out");
  return found;
}

void sessions_open(struct rig *rig, struct service *service)
{
  rig_open(rig, service ? service_url(service) : NULL, NULL);
  (void) setenv("MAGENT_CONF_DIR", rig->dir, 1);
  (void) setenv("XDG_CONFIG_HOME", rig_path(rig, "config"), 1);
  rig_write_file(rig, "prices.json",
                 "{\"currency\":\"USD\",\"prices\":[{\"model\":\"claude-test\",\"input\":3,\"output\":15,"
                 "\"cache_write\":3.75,\"cache_read\":0.3}]}");
  rig_define(rig, MODEL, "[" TOOLSET "]", computes()[0]);
}

void sessions_close(struct rig *rig, struct service *service)
{
  struct records records;
  if (rig->session) {
    rig_read(rig, NULL, &records);
    records_check(&records);
    records_done(&records);
  }
  rig_close(rig);
  if (service)
    service_free(service);
}

const char *view(struct rig *rig, const char *id, const char *path)
{
  static char values[8][500];
  static unsigned turn;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str slice;
  char *json = NULL, *value = values[turn++ % 8];
  int r = mag_sessions_info(rig->engine, id ? id : rig->session->log.id, &json, &err);
  ck_assert_msg(r == 0, "%s", err.message);
  ck_assert_msg(mag_json_slice(mbp_str(json), path, &slice), "no %s in %s", path, json);
  (void) snprintf(value, sizeof(values[0]), "%.*s", (int) slice.len, slice.ptr);
  free(json);
  return value;
}

int main(void)
{
  (void) signal(SIGPIPE, SIG_IGN);
  Suite *suite = suite_create("sessions");
  TCase *const cases[] = {budget_tests(), delivery_tests(), fork_tests(), view_tests()};
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    tcase_set_timeout(cases[i], 120);
    suite_add_tcase(suite, cases[i]);
  }
  return run_suite(suite);
}
