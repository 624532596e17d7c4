/* An opened plugin: its gate, and what becomes of it once a call does not end. */
#include "../lib/run.h"
#include "base/error.h"
#include "host/instance.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static int fake_open(const struct mbp_host *host, const struct mbp_config *config, struct mbp_instance **ret_instance,
                     struct mbp_error *err)
{
  static char something;
  (void) host;
  (void) config;
  (void) err;
  *ret_instance = (struct mbp_instance *) (void *) &something;
  return 0;
}

static void fake_close(struct mbp_instance *instance)
{
  (void) instance;
}

static const struct mbp_plugin plugins[] = {
    {.size = MBP_SIZE(struct mbp_plugin, close),
     .kind = MBP_KIND_LLM,
     .name = "serial",
     .threads = MBP_THREADS_SERIAL,
     .open = fake_open,
     .close = fake_close},
    {.size = MBP_SIZE(struct mbp_plugin, close),
     .kind = MBP_KIND_LLM,
     .name = "instance",
     .threads = MBP_THREADS_INSTANCE,
     .open = fake_open,
     .close = fake_close},
};

static struct mag_instance *open_plugin(const struct mbp_plugin *plugin)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_instance *instance = NULL;
  ck_assert_msg(mag_instance_open(plugin, mbp_str_n(NULL, 0), &instance, &err) == 0, "%s", err.message);
  return instance;
}

static atomic_int inside, most_inside, entered, let_go;

/* An operation that blocks until the test lets it go. */
static int block(struct mbp_call *call)
{
  int now = atomic_fetch_add(&inside, 1) + 1;
  if (now > atomic_load(&most_inside))
    atomic_store(&most_inside, now);
  atomic_fetch_add(&entered, 1);
  while (!atomic_load(&let_go))
    (void) poll(NULL, 0, 1);
  atomic_fetch_sub(&inside, 1);
  mag_call_done(call, NULL, NULL);
  return 0;
}

/* The tests of this file may run in one process. */
static void block_anew(void)
{
  atomic_store(&let_go, 0);
  atomic_store(&entered, 0);
  atomic_store(&most_inside, 0);
}

static void *run_blocking(void *instance)
{
  struct mag_call_options options = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  int r = MAG_RUN(instance, &options, &err, block(call));
  return (void *) (intptr_t) r;
}

static void await_entered(int n)
{
  while (atomic_load(&entered) < n)
    (void) poll(NULL, 0, 1);
}

static int end_at_once(struct mbp_call *call)
{
  mag_call_done(call, NULL, NULL);
  return 0;
}

static void *cancel_soon(void *parent)
{
  (void) poll(NULL, 0, 50);
  mag_call_cancel(parent);
  return NULL;
}

START_TEST(who_waits_at_a_gate_can_be_called_off)
{
  struct mag_instance *instance = open_plugin(&plugins[_i]);
  struct mbp_error err = MAG_ERROR_INIT;
  pthread_t holder, canceller;
  void *result;
  block_anew();
  ck_assert_int_eq(pthread_create(&holder, NULL, run_blocking, instance), 0);
  await_entered(1);
  struct mag_call_options late = {.timeout_ms = 30};
  ck_assert_int_eq(MAG_RUN(instance, &late, &err, end_at_once(call)), -MBP_E_TIMEOUT);
  ck_assert_int_eq(err.code, MBP_E_TIMEOUT);
  struct mag_call_options none = {0};
  struct mbp_call *parent = mag_call_new_scope(&none);
  struct mag_call_options child = {.parent = parent};
  ck_assert_int_eq(pthread_create(&canceller, NULL, cancel_soon, parent), 0);
  ck_assert_int_eq(MAG_RUN(instance, &child, &err, end_at_once(call)), -MBP_E_CANCELLED);
  (void) pthread_join(canceller, NULL);
  mag_call_unref(parent);
  /* What is marked "control" goes past it. */
  ck_assert_int_eq(MAG_RUN_CONTROL(instance, &none, &err, end_at_once(call)), 0);
  atomic_store(&let_go, 1);
  (void) pthread_join(holder, &result);
  ck_assert_int_eq((int) (intptr_t) result, 0);
  ck_assert_int_eq(MAG_RUN(instance, &none, &err, end_at_once(call)), 0);
  mag_instance_close(instance);
}
END_TEST

START_TEST(one_operation_at_a_time_passes_the_gate)
{
  struct mag_instance *instance = open_plugin(&plugins[_i]), *other = open_plugin(&plugins[_i]);
  bool serial = plugins[_i].threads == MBP_THREADS_SERIAL;
  pthread_t threads[4];
  block_anew();
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, run_blocking, i < 2 ? instance : other), 0);
  await_entered(serial ? 1 : 2);
  atomic_store(&let_go, 1);
  for (int i = 0; i < 4; i++)
    (void) pthread_join(threads[i], NULL);
  ck_assert_int_eq(atomic_load(&entered), 4);
  ck_assert_int_eq(atomic_load(&most_inside), serial ? 1 : 2);
  mag_instance_close(instance);
  mag_instance_close(other);
}
END_TEST

static int keep_call(struct mbp_call *call, struct mbp_call **place)
{
  *place = call;
  return 0;
}

START_TEST(after_a_call_that_does_not_end_an_instance_is_not_used_any_more)
{
  struct mag_instance *instance = open_plugin(&plugins[1]);
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_call *lost = NULL;
  struct mag_call_options short_time = {.timeout_ms = 1}, none = {0};
  ck_assert(!mag_instance_unhealthy(instance));
  ck_assert_int_eq(MAG_RUN(instance, &short_time, &err, keep_call(call, &lost)), -MBP_E_TIMEOUT);
  ck_assert(mag_instance_unhealthy(instance));
  ck_assert_int_eq(MAG_RUN(instance, &none, &err, end_at_once(call)), -MBP_E_UNAVAILABLE);
  mag_call_done(lost, NULL, NULL); /* too late, and harmless */
  mag_instance_close(instance);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("instance");
  TCase *tcase = tcase_create("instance");
  tcase_set_timeout(tcase, 30);
  tcase_add_loop_test(tcase, who_waits_at_a_gate_can_be_called_off, 0, 2);
  tcase_add_loop_test(tcase, one_operation_at_a_time_passes_the_gate, 0, 2);
  tcase_add_test(tcase, after_a_call_that_does_not_end_an_instance_is_not_used_any_more);
  suite_add_tcase(suite, tcase);
  return run_suite(suite);
}
