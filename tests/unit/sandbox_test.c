/* The session's sandbox and magent.compute/1, over a provider of the test's own. */
#include "../lib/run.h"
#include "agent/sandbox.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "fake_compute.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct mag_instance *compute;
static struct mag_sandbox *sandbox;
static int intents, mades, made_fails;
static bool made_attached;
static char last_key[64], last_id[64];

static int intent(void *ctx, const char *key, struct mbp_error *err)
{
  (void) ctx;
  (void) err;
  intents++;
  (void) snprintf(last_key, sizeof(last_key), "%s", key);
  return 0;
}

static int made(void *ctx, const struct mbp_sandbox_info *info, bool attached, struct mbp_error *err)
{
  (void) ctx;
  mades++;
  made_attached = attached;
  (void) snprintf(last_id, sizeof(last_id), "%s", info->id.ptr);
  return made_fails-- > 0 ? mag_error(err, MBP_E_NO_SPACE, "the log is full") : 0;
}

static void open_sandbox_beside(const char *attach_id, const char *stray_key)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_sandbox_options options = {.compute = compute,
                                        .session = mbp_str("sesn_0ABC"),
                                        .intent = intent,
                                        .made = made,
                                        .attach_id = mbp_str(attach_id),
                                        .stray_key = mbp_str(stray_key)};
  options.spec.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts);
  ck_assert_int_eq(mag_sandbox_new(&options, &sandbox, &err), 0);
}

static void open_sandbox(const char *attach_id)
{
  open_sandbox_beside(attach_id, NULL);
}

static void setup(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  intents = mades = made_fails = 0;
  memset(&fake_state, 0, sizeof(fake_state));
  ck_assert_int_eq(mag_instance_open(&fake_compute, mbp_str_n(NULL, 0), &compute, &err), 0);
  open_sandbox(NULL);
}

static void teardown(void)
{
  mag_sandbox_free(sandbox, false);
  mag_instance_close(compute);
  fake_lose_all();
}

static struct mbp_call *tool_call(void)
{
  struct mag_call_options options = {.session = mbp_str("sesn_0ABC")};
  struct mbp_call *call = mag_call_new_scope(&options);
  mag_call_set_scope(call, sandbox);
  return call;
}

static struct mbp_stream *start(struct mbp_call *call, const char *script, uint32_t flags, int *ret_r)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str argv[] = {mbp_str("/bin/sh"), mbp_str("-c"), mbp_str(script)};
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool), .flags = flags, .argv = argv, .n_argv = 3};
  struct mbp_stream *stream = NULL;
  int r = mag_compute_table.exec(call, &exec, &stream, &err);
  if (ret_r)
    *ret_r = r;
  else
    ck_assert_msg(r == 0, "%s", err.message);
  return stream;
}

/* Reads to the end; the last code of next. */
static int drain(struct mbp_stream *stream, struct mbp_call *call, struct mag_buf *text)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_event event;
  int r;
  while ((r = mag_compute_table.next(stream, call, 10000, &event, &err)) > 0)
    if (event.type == MBP_EV_EXEC_OUTPUT && text)
      mag_buf_add(text, event.data.ptr, event.data.len);
  return r;
}

static void run(struct mbp_call *call, const char *script, const char *wanted)
{
  mag_autobuf text = MAG_BUF_INIT;
  struct mbp_stream *stream = start(call, script, MBP_EXEC_MERGE, NULL);
  ck_assert_int_eq(drain(stream, call, &text), 0);
  mag_compute_table.close(stream);
  ck_assert_str_eq(text.ptr ? text.ptr : "", wanted);
}

START_TEST(a_sandbox_is_made_once_and_told_before_and_after)
{
  struct mbp_call *call = tool_call();
  ck_assert(!mag_sandbox_exists(sandbox));
  run(call, "echo a", "a\n");
  run(call, "echo b; echo c >&2", "b\nc\n");
  ck_assert_int_eq(fake_state.creates, 1);
  ck_assert_int_eq(intents, 1);
  ck_assert_int_eq(mades, 1);
  ck_assert_msg(strncmp(last_key, "sesn-0abc-1-", 12) == 0, "%s", last_key);
  ck_assert(mag_sandbox_last_use_ms(sandbox) > 0);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_provider_is_told_whose_sandbox_it_makes)
{
  char host[128] = "", owner[160];
  struct mbp_call *call = tool_call();
  run(call, "echo a", "a\n");
  ck_assert_int_eq(gethostname(host, sizeof(host) - 1), 0);
  (void) snprintf(owner, sizeof(owner), "%u@%s", (unsigned) geteuid(), host);
  ck_assert_str_eq(fake_state.owner, owner);
  ck_assert_str_eq(fake_state.session, "sesn_0ABC");
  mag_call_unref(call);
}
END_TEST

START_TEST(the_exit_code_and_stdin_pass)
{
  struct mbp_call *call = tool_call();
  mag_autobuf text = MAG_BUF_INIT;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_stream *stream = start(call, "cat; exit 7", MBP_EXEC_STDIN, NULL);
  ck_assert_int_eq(mag_compute_table.write(stream, call, mbp_str("hello"), MBP_STDIN_EOF, &err), 0);
  ck_assert_int_eq(drain(stream, call, &text), 0);
  ck_assert_str_eq(text.ptr, "hello");
  ck_assert_int_eq(mag_compute_table.result(stream)->exit_code, 7);
  ck_assert_int_eq(mag_compute_table.write(stream, call, mbp_str("x"), 0, &err), -MBP_E_LOST);
  mag_compute_table.close(stream);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_slow_reader_holds_the_writer_and_loses_nothing)
{
  struct mbp_call *call = tool_call();
  mag_autobuf text = MAG_BUF_INIT;
  struct mbp_stream *stream = start(call, "head -c 3000000 /dev/zero | tr '\\0' x; echo end", MBP_EXEC_MERGE, NULL);
  usleep(50000);
  ck_assert_int_eq(drain(stream, call, &text), 0);
  ck_assert_uint_eq(text.len, 3000004);
  mag_compute_table.close(stream);
  mag_call_unref(call);
}
END_TEST

static void *cancel_soon(void *call)
{
  usleep(30000);
  mag_call_cancel(call);
  return NULL;
}

START_TEST(next_wakes_when_its_call_is_cancelled_and_times_out)
{
  struct mbp_call *call = tool_call();
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_event event;
  struct mbp_stream *stream = start(call, "sleep 30", 0, NULL);
  ck_assert_int_eq(mag_compute_table.next(stream, call, 1000, &event, &err), 1); /* started */
  int64_t from = mag_clock_monotonic_ms();
  ck_assert_int_eq(mag_compute_table.next(stream, call, 20, &event, &err), -MBP_E_TIMEOUT);
  pthread_t thread;
  pthread_create(&thread, NULL, cancel_soon, call);
  ck_assert_int_eq(mag_compute_table.next(stream, call, -1, &event, &err), -MBP_E_CANCELLED);
  mag_compute_table.close(stream);
  ck_assert(mag_clock_monotonic_ms() - from < 2000);
  pthread_join(thread, NULL);
  mag_call_unref(call);
}
END_TEST

START_TEST(closing_kills_also_one_whose_output_nobody_reads)
{
  struct mbp_call *call = tool_call();
  int64_t from = mag_clock_monotonic_ms();
  struct mbp_stream *stream = start(call, "yes", 0, NULL);
  usleep(50000);
  mag_compute_table.close(stream);
  ck_assert(mag_clock_monotonic_ms() - from < 2000);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_kept_stream_outlives_its_call)
{
  struct mbp_call *first = tool_call(), *second = tool_call();
  mag_autobuf text = MAG_BUF_INIT;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_stream *stream = start(first, "cat", MBP_EXEC_STDIN | MBP_EXEC_KEEP, NULL);
  mag_call_cancel(first);
  mag_call_unref(first);
  ck_assert_int_eq(mag_compute_table.write(stream, second, mbp_str("still"), MBP_STDIN_EOF, &err), 0);
  ck_assert_int_eq(drain(stream, second, &text), 0);
  ck_assert_str_eq(text.ptr, "still");
  mag_compute_table.close(stream);
  mag_call_unref(second);
}
END_TEST

START_TEST(freeing_ends_open_streams_which_may_be_closed_later)
{
  struct mbp_call *call = tool_call();
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_event event;
  struct mbp_stream *stream = start(call, "sleep 30", MBP_EXEC_KEEP, NULL);
  mag_sandbox_free(sandbox, false);
  sandbox = NULL;
  ck_assert_int_eq(fake_state.alive, 0);
  int r;
  while ((r = mag_compute_table.next(stream, call, 1000, &event, &err)) > 0)
    continue;
  ck_assert_int_eq(r, -MBP_E_LOST);
  mag_compute_table.close(stream);
  mag_call_unref(call);
}
END_TEST

START_TEST(free_with_keep_leaves_it_and_attach_finds_it)
{
  struct mbp_call *call = tool_call();
  run(call, "echo kept >file", "");
  mag_call_unref(call);
  mag_sandbox_free(sandbox, true);
  ck_assert_int_eq(fake_state.alive, 1);
  char id[64];
  (void) snprintf(id, sizeof(id), "%s", last_id);
  open_sandbox(id);
  call = tool_call();
  run(call, "cat file", "kept\n");
  ck_assert(made_attached);
  ck_assert_int_eq(fake_state.creates, 1);
  mag_call_unref(call);
}
END_TEST

/* As another process would: without ending the first one's. */
static struct mag_sandbox *attach_beside(void)
{
  struct mag_sandbox *first = sandbox;
  char id[64];
  (void) snprintf(id, sizeof(id), "%s", last_id);
  open_sandbox(id);
  return first;
}

START_TEST(what_a_killed_runner_left_running_is_ended_before_a_sandbox_is_used_again)
{
  struct mbp_call *old_call = tool_call();
  struct mbp_stream *old = start(old_call, "sleep 60 & sleep 60; echo on >file", MBP_EXEC_KEEP, NULL);
  struct mbp_event event;
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_eq(mag_compute_table.next(old, old_call, 10000, &event, &err), 1); /* started */
  struct mag_sandbox *first = attach_beside();
  struct mbp_call *call = tool_call();
  run(call, "ls", "");
  ck_assert(made_attached);
  ck_assert_int_eq(drain(old, old_call, NULL), 0);
  ck_assert_int_eq(mag_compute_table.result(old)->signal, MBP_SIG_KILL);
  run(call, "echo mine", "mine\n"); /* and only that */
  mag_compute_table.close(old);
  mag_call_unref(call);
  mag_call_unref(old_call);
  mag_sandbox_free(first, true);
}
END_TEST

START_TEST(one_that_was_made_and_never_noted_is_removed_by_the_next_process)
{
  for (int warm = 0; warm < 2; warm++) {
    struct mbp_call *call = tool_call();
    run(call, "echo lost >file", "");
    mag_call_unref(call);
    mag_sandbox_free(sandbox, true);
    ck_assert_int_eq(fake_state.alive, 1);
    char key[64];
    (void) snprintf(key, sizeof(key), "%s", last_key);
    open_sandbox_beside(NULL, key);
    call = tool_call();
    if (warm)
      mag_sandbox_warm(sandbox, call);
    run(call, "ls", "");
    ck_assert(!made_attached);
    ck_assert_int_eq(fake_state.alive, 1);
    mag_call_unref(call);
  }
}
END_TEST

START_TEST(one_that_cannot_be_asked_after_is_not_replaced)
{
  struct mbp_call *call = tool_call();
  struct mbp_error why = MAG_ERROR_INIT;
  int r = 0;
  run(call, "echo kept >file", "");
  mag_call_unref(call);
  struct mag_sandbox *first = attach_beside();
  call = tool_call();
  fake_state.fail_attaches = 1;
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_UNAVAILABLE);
  ck_assert(mag_sandbox_take_failure(sandbox, &why));
  ck_assert_str_eq(why.message, "the fake is out of reach");
  run(call, "cat file", "kept\n");
  ck_assert_int_eq(fake_state.creates, 1);
  mag_call_unref(call);
  mag_sandbox_free(first, true);
}
END_TEST

START_TEST(that_none_could_be_made_is_told_once_and_only_if_somebody_needed_it)
{
  struct mbp_call *call = tool_call();
  struct mbp_error why = MAG_ERROR_INIT;
  int r = 0;
  ck_assert(!mag_sandbox_take_failure(sandbox, &why));
  fake_state.fail_creates = 2;
  mag_sandbox_warm(sandbox, call);
  while (mag_sandbox_exists(sandbox))
    usleep(1000);
  ck_assert(!mag_sandbox_take_failure(sandbox, &why));
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_UNAVAILABLE);
  ck_assert(mag_sandbox_take_failure(sandbox, &why));
  ck_assert_int_eq(why.code, MBP_E_UNAVAILABLE);
  ck_assert(!mag_sandbox_take_failure(sandbox, &why));
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_UNAVAILABLE);
  run(call, "echo third", "third\n"); /* who had none has one now */
  ck_assert(!mag_sandbox_take_failure(sandbox, &why));
  mag_call_unref(call);
}
END_TEST

START_TEST(who_is_called_off_has_not_gone_without_a_sandbox)
{
  struct mbp_call *call = tool_call();
  struct mbp_error why = MAG_ERROR_INIT;
  pthread_t thread;
  int r = 0;
  fake_state.create_delay_ms = 60000;
  pthread_create(&thread, NULL, cancel_soon, call);
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_CANCELLED);
  ck_assert(!mag_sandbox_take_failure(sandbox, &why));
  pthread_join(thread, NULL);
  mag_call_unref(call);
}
END_TEST

START_TEST(an_attached_sandbox_that_is_gone_is_made_anew)
{
  mag_sandbox_free(sandbox, false);
  open_sandbox("fake-999");
  struct mbp_call *call = tool_call();
  run(call, "echo new", "new\n");
  ck_assert(!made_attached);
  ck_assert_int_eq(fake_state.attaches, 1);
  ck_assert_int_eq(fake_state.creates, 1);
  mag_call_unref(call);
}
END_TEST

static void *use(void *argument)
{
  struct mbp_call *call = argument;
  int r;
  struct mbp_stream *stream = start(call, "echo x", 0, &r);
  if (r == 0)
    r = drain(stream, call, NULL);
  mag_compute_table.close(stream);
  return (void *) (intptr_t) r;
}

START_TEST(many_users_wait_for_one_creation)
{
  enum { n = 8 };
  pthread_t threads[n];
  struct mbp_call *calls[n];
  fake_state.create_delay_ms = 50;
  for (int i = 0; i < n; i++) {
    calls[i] = tool_call();
    pthread_create(&threads[i], NULL, use, calls[i]);
  }
  for (int i = 0; i < n; i++) {
    void *r;
    pthread_join(threads[i], &r);
    ck_assert_int_eq((intptr_t) r, 0);
    mag_call_unref(calls[i]);
  }
  ck_assert_int_eq(fake_state.creates, 1);
}
END_TEST

START_TEST(a_waiting_user_can_be_cancelled_and_the_maker_goes_on)
{
  struct mbp_call *maker = tool_call(), *waiting = tool_call();
  pthread_t one, two;
  void *r;
  fake_state.create_delay_ms = 300;
  pthread_create(&one, NULL, use, maker);
  usleep(20000);
  int64_t from = mag_clock_monotonic_ms();
  pthread_create(&two, NULL, use, waiting);
  usleep(20000);
  mag_call_cancel(waiting);
  pthread_join(two, &r);
  ck_assert(mag_clock_monotonic_ms() - from < 200);
  ck_assert_int_eq((intptr_t) r, -MBP_E_CANCELLED);
  pthread_join(one, &r);
  ck_assert_int_eq((intptr_t) r, 0);
  mag_call_unref(maker);
  mag_call_unref(waiting);
}
END_TEST

START_TEST(a_cancelled_maker_leaves_the_work_to_who_waits)
{
  struct mbp_call *maker = tool_call(), *waiting = tool_call();
  pthread_t one, two;
  void *r;
  fake_state.create_delay_ms = 200;
  pthread_create(&one, NULL, use, maker);
  usleep(20000);
  pthread_create(&two, NULL, use, waiting);
  usleep(20000);
  mag_call_cancel(maker);
  pthread_join(one, &r);
  ck_assert_int_eq((intptr_t) r, -MBP_E_CANCELLED);
  pthread_join(two, &r);
  ck_assert_int_eq((intptr_t) r, 0);
  ck_assert_int_eq(fake_state.alive, 1);
  mag_call_unref(maker);
  mag_call_unref(waiting);
}
END_TEST

/* Without: every new descriptor is refused, those that are open stay. */
static void allow_descriptors(bool allow)
{
  static struct rlimit before;
  struct rlimit limit;
  if (!allow) {
    int lowest = dup(0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_ge(lowest, 0);
    close(lowest);
    limit = (struct rlimit){(rlim_t) lowest, before.rlim_max};
  }
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, allow ? &before : &limit), 0);
}

START_TEST(waiting_needs_no_descriptor)
{
  struct mbp_call *call = tool_call();
  pthread_t thread;
  void *r;
  fake_state.create_delay_ms = 60000;
  mag_sandbox_warm(sandbox, call);
  usleep(50000);
  allow_descriptors(false);
  ck_assert_int_lt(dup(0), 0);
  pthread_create(&thread, NULL, use, call);
  usleep(50000);
  mag_call_cancel(call); /* is noticed although nothing can be waited for */
  pthread_join(thread, &r);
  ck_assert_int_eq((intptr_t) r, -MBP_E_CANCELLED);
  mag_sandbox_free(sandbox, false); /* waits for the creation, which it has cancelled */
  allow_descriptors(true);
  mag_call_unref(call);
  open_sandbox(NULL);
}
END_TEST

START_TEST(warming_makes_it_ready_and_tells_with_the_first_tool)
{
  struct mbp_call *call = tool_call();
  fake_state.create_delay_ms = 20;
  mag_sandbox_warm(sandbox, call);
  ck_assert(mag_sandbox_exists(sandbox));
  ck_assert_int_eq(intents, 1);
  run(call, "echo warm", "warm\n");
  ck_assert_int_eq(mades, 1);
  ck_assert_int_eq(fake_state.creates, 1);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_failed_warming_is_told_once_then_tried_again)
{
  struct mbp_call *call = tool_call();
  int r;
  fake_state.fail_creates = 1;
  mag_sandbox_warm(sandbox, call);
  usleep(50000);
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_UNAVAILABLE);
  run(call, "echo then", "then\n");
  mag_call_unref(call);
}
END_TEST

/* Behaviour 98. */
START_TEST(one_that_the_session_cannot_note_is_destroyed)
{
  struct mbp_call *call = tool_call();
  int r;
  made_fails = 1;
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_NO_SPACE);
  ck_assert_int_eq(fake_state.alive, 0);
  run(call, "echo ok", "ok\n");
  mag_call_unref(call);
}
END_TEST

START_TEST(a_lost_sandbox_is_made_anew_by_the_next_use)
{
  struct mbp_call *call = tool_call();
  run(call, "echo 1", "1\n");
  fake_lose_all();
  struct mbp_stream *stream = start(call, "echo 2", 0, NULL);
  ck_assert_int_eq(drain(stream, call, NULL), -MBP_E_LOST);
  mag_compute_table.close(stream);
  run(call, "echo 3", "3\n");
  ck_assert_int_eq(fake_state.creates, 2);
  mag_call_unref(call);
}
END_TEST

START_TEST(drop_waits_for_nobody_and_spares_one_in_use)
{
  struct mbp_call *call = tool_call();
  struct mbp_stream *stream = start(call, "sleep 30", 0, NULL);
  mag_sandbox_drop(sandbox);
  ck_assert_int_eq(fake_state.alive, 1);
  mag_compute_table.close(stream);
  struct mbp_stream *shell = start(call, "cat", MBP_EXEC_STDIN | MBP_EXEC_KEEP, NULL);
  mag_sandbox_drop(sandbox);
  ck_assert_int_eq(fake_state.alive, 0);
  ck_assert(!mag_sandbox_exists(sandbox));
  ck_assert_int_eq(drain(shell, call, NULL), -MBP_E_LOST);
  mag_compute_table.close(shell);
  run(call, "echo again", "again\n");
  mag_call_unref(call);
}
END_TEST

static int64_t give(void *ctx, void *buf, size_t cap)
{
  const char **text = ctx;
  size_t n = strlen(*text) < cap ? strlen(*text) : cap;
  memcpy(buf, *text, n);
  *text += n;
  return (int64_t) n;
}

START_TEST(files_go_in_and_come_out)
{
  struct mbp_call *call = tool_call();
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str content, dir;
  const char *text = "content";
  struct mbp_put put = {.size = MBP_SIZE(struct mbp_put, ctx),
                        .mode = 0644,
                        .path = mbp_str("f"),
                        .length = 7,
                        .read = give,
                        .ctx = &text};
  ck_assert_int_eq(mag_compute_table.put(call, &put, &err), 0);
  ck_assert_int_eq(mag_compute_table.get(call, mbp_str("f"), 100, &content, &err), 0);
  ck_assert(mbp_str_eq(content, "content"));
  ck_assert_int_eq(mag_compute_table.get(call, mbp_str("f"), 3, &content, &err), -MBP_E_LIMIT);
  ck_assert_int_eq(mag_compute_table.get(call, mbp_str("g"), 3, &content, &err), -MBP_E_NOT_FOUND);
  ck_assert_int_eq(mag_compute_table.working_dir(call, &dir, &err), 0);
  ck_assert(dir.ptr[0] == '/');
  ck_assert_int_eq(mag_compute_table.isolation(call), MBP_ISOLATION_NONE);
  ck_assert_int_eq(fake_state.creates, 1);
  mag_call_unref(call);
}
END_TEST

START_TEST(the_helper_is_put_there_once)
{
  struct mbp_call *call = tool_call();
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_str path;
  char dir[] = "/tmp/magent-libexec-XXXXXX", file[64];
  ck_assert_ptr_nonnull(mkdtemp(dir));
  (void) snprintf(file, sizeof(file), "%s/magent-sandbox", dir);
  setenv("MAGENT_LIBEXEC_DIR", dir, 1);
  ck_assert_int_eq(mag_compute_table.helper(call, &path, &err), -MBP_E_UNSUPPORTED);
  FILE *f = fopen(file, "w");
  fputs("#!/bin/sh\necho helped\n", f);
  fclose(f);
  ck_assert_int_eq(mag_compute_table.helper(call, &path, &err), 0);
  ck_assert_int_eq(mag_compute_table.helper(call, &path, &err), 0);
  ck_assert(mbp_str_eq(path, "/tmp/.magent-sandbox"));
  ck_assert_int_eq(fake_state.puts, 1);
  run(call, "/tmp/.magent-sandbox", "helped\n");
  unlink("/tmp/.magent-sandbox");
  unlink(file);
  rmdir(dir);
  mag_call_unref(call);
}
END_TEST

START_TEST(a_call_of_no_session_is_refused)
{
  struct mag_call_options options = {0};
  struct mbp_call *call = mag_call_new_scope(&options);
  int r;
  (void) start(call, "true", 0, &r);
  ck_assert_int_eq(r, -MBP_E_UNSUPPORTED);
  mag_call_unref(call);
}
END_TEST

int main(void)
{
  TCase *all = tcase_create("sandbox");
  tcase_add_checked_fixture(all, setup, teardown);
  tcase_set_timeout(all, 20);
  tcase_add_test(all, a_sandbox_is_made_once_and_told_before_and_after);
  tcase_add_test(all, a_provider_is_told_whose_sandbox_it_makes);
  tcase_add_test(all, the_exit_code_and_stdin_pass);
  tcase_add_test(all, a_slow_reader_holds_the_writer_and_loses_nothing);
  tcase_add_test(all, next_wakes_when_its_call_is_cancelled_and_times_out);
  tcase_add_test(all, closing_kills_also_one_whose_output_nobody_reads);
  tcase_add_test(all, a_kept_stream_outlives_its_call);
  tcase_add_test(all, freeing_ends_open_streams_which_may_be_closed_later);
  tcase_add_test(all, free_with_keep_leaves_it_and_attach_finds_it);
  tcase_add_test(all, an_attached_sandbox_that_is_gone_is_made_anew);
  tcase_add_test(all, what_a_killed_runner_left_running_is_ended_before_a_sandbox_is_used_again);
  tcase_add_test(all, one_that_was_made_and_never_noted_is_removed_by_the_next_process);
  tcase_add_test(all, one_that_cannot_be_asked_after_is_not_replaced);
  tcase_add_test(all, that_none_could_be_made_is_told_once_and_only_if_somebody_needed_it);
  tcase_add_test(all, who_is_called_off_has_not_gone_without_a_sandbox);
  tcase_add_test(all, many_users_wait_for_one_creation);
  tcase_add_test(all, a_waiting_user_can_be_cancelled_and_the_maker_goes_on);
  tcase_add_test(all, a_cancelled_maker_leaves_the_work_to_who_waits);
  tcase_add_test(all, waiting_needs_no_descriptor);
  tcase_add_test(all, warming_makes_it_ready_and_tells_with_the_first_tool);
  tcase_add_test(all, a_failed_warming_is_told_once_then_tried_again);
  tcase_add_test(all, one_that_the_session_cannot_note_is_destroyed);
  tcase_add_test(all, a_lost_sandbox_is_made_anew_by_the_next_use);
  tcase_add_test(all, drop_waits_for_nobody_and_spares_one_in_use);
  tcase_add_test(all, files_go_in_and_come_out);
  tcase_add_test(all, the_helper_is_put_there_once);
  tcase_add_test(all, a_call_of_no_session_is_refused);
  Suite *suite = suite_create("sandbox");
  suite_add_tcase(suite, all);
  return run_suite(suite);
}
