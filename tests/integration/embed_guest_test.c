/* The library is a guest: what it leaves alone, and what it may be asked at the same time. */
#include "embed_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char work[] = "[{\"match\":\"*\",\"text\":\"I look.\",\"tool_call\":{\"name\":\"bash\",\"input\":"
                           "{\"command\":\"echo {{user}} > mine; cat mine\"}}},"
                           "{\"match\":\"*\",\"text\":\"{{tool_result}}\"}]";

static void run_one(struct place *place, const char *compute, const char *prompt)
{
  struct magent_error error;
  char yaml[64], *answer = NULL;
  (void) snprintf(yaml, sizeof(yaml), "compute: %s", compute);
  struct magent_agent *agent = agent_of(place, yaml);
  expect(magent_execute(agent, prompt, &answer, &error), MAGENT_END_TURN, error);
  ck_assert_str_eq(answer, prompt);
  free(answer);
  magent_agent_free(agent);
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

struct worker {
  struct place place;
  const char *compute;
  char prompt[16];
};

static void *run_in_thread(void *argument)
{
  struct worker *worker = argument;
  for (int i = 0; i < 3; i++)
    run_one(&worker->place, worker->compute, worker->prompt);
  return NULL;
}

START_TEST(many_agents_of_several_contexts_run_at_once)
{
  struct place place;
  place_begin(&place, work);
  struct magent *other = place_open(&place);
  for (const char *const *compute = computes(); *compute; compute++) {
    pthread_t threads[8];
    struct worker workers[8];
    for (size_t i = 0; i < 8; i++) {
      workers[i] = (struct worker){.place = place, .compute = *compute};
      workers[i].place.magent = i % 2 ? other : place.magent;
      (void) snprintf(workers[i].prompt, sizeof(workers[i].prompt), "agent%zu", i);
      ck_assert_int_eq(pthread_create(&threads[i], NULL, run_in_thread, &workers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
      (void) pthread_join(threads[i], NULL);
  }
  magent_close(other);
  place_end(&place);
}
END_TEST

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

static bool of_the_test[1024]; /* was there before anything of the library */

static size_t count_descriptors(bool check_cloexec)
{
  size_t n = 0;
  DIR *dir = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(dir);
  for (struct dirent *entry; (entry = readdir(dir));) {
    int fd = (int) strtol(entry->d_name, NULL, 10);
    if (entry->d_name[0] == '.' || fd == dirfd(dir))
      continue;
    n++;
    ck_assert_msg(!check_cloexec || of_the_test[fd % 1024] || fcntl(fd, F_GETFD) & FD_CLOEXEC,
                  "descriptor %d goes to children", fd);
  }
  (void) closedir(dir);
  return n;
}

static void note_descriptors(void)
{
  for (int fd = 0; fd < 1024; fd++)
    of_the_test[fd] = fcntl(fd, F_GETFD) >= 0;
}

static int look_at_descriptors(void *ctx, const struct magent_event *event)
{
  (void) ctx;
  if (event->kind == MAGENT_EVENT)
    (void) count_descriptors(true);
  return 0;
}

static void use_everything(struct place *place, const char *compute)
{
  struct magent_error error;
  struct magent_stream *stream = NULL;
  struct magent_compute_info *info = NULL;
  char yaml[64];
  (void) snprintf(yaml, sizeof(yaml), "compute: %s", compute);
  struct magent_agent *agent = agent_of(place, yaml);
  ck_assert_int_ge(magent_interrupt_fd(agent, &error), 0);
  expect(magent_stream(agent, "one", look_at_descriptors, NULL, &error), 0, error);
  expect(magent_stream_open(agent, "two", &stream, &error), 0, error);
  (void) count_descriptors(true);
  (void) magent_stream_close(stream, NULL);
  expect(magent_compute_upload(agent, place_path(place, "defaults.json"), "x", &error), 0, error);
  expect(magent_compute_status(agent, &info, &error), 0, error);
  free(info);
  magent_agent_free(agent);
}

/* Behaviour 113. */
START_TEST(no_descriptor_is_left_after_close_and_none_goes_to_children)
{
  struct place place;
  note_descriptors();
  place_begin(&place, work);
  /* Once for what lives as long as the process: the threads behind children and HTTP. */
  for (const char *const *compute = computes(); *compute; compute++)
    use_everything(&place, *compute);
  magent_close(place.magent);
  size_t before = count_descriptors(false);
  for (int i = 0; i < 5; i++) {
    place.magent = place_open(&place);
    for (const char *const *compute = computes(); *compute; compute++)
      use_everything(&place, *compute);
    magent_close(place.magent);
  }
  ck_assert_uint_eq(count_descriptors(false), before);
  place.magent = NULL;
  place_end(&place);
}
END_TEST

/* ---- Signals ---------------------------------------------------------------------------------------------------- */

static void nothing(int number)
{
  (void) number;
}

START_TEST(handlers_masks_directory_umask_locale_and_environment_stay)
{
  extern char **environ;
  struct place place;
  struct sigaction before[NSIG], now;
  sigset_t mask, mask_now;
  char here[4096], there[4096];
  note_descriptors();
  place_begin(&place, work);
  struct sigaction mine = {.sa_handler = nothing};
  ck_assert_int_eq(sigaction(SIGUSR1, &mine, NULL), 0);
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
  ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
  for (int i = 1; i < NSIG; i++)
    if (sigaction(i, NULL, &before[i]) < 0)
      before[i].sa_handler = SIG_ERR;
  ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
  mode_t mode = umask(027);
  size_t n_env = 0;
  while (environ[n_env])
    n_env++;
  char *locale = strdup(setlocale(LC_ALL, NULL));
  for (const char *const *compute = computes(); *compute; compute++)
    use_everything(&place, *compute);
  ck_assert_uint_eq(umask(mode), 027);
  ck_assert_ptr_nonnull(getcwd(there, sizeof(there)));
  ck_assert_str_eq(here, there);
  ck_assert_str_eq(setlocale(LC_ALL, NULL), locale);
  ck_assert_ptr_null(environ[n_env]);
  for (int i = 1; i < NSIG; i++)
    if (before[i].sa_handler != SIG_ERR && sigaction(i, NULL, &now) == 0)
      ck_assert_msg(now.sa_handler == before[i].sa_handler, "the handler of signal %d has changed", i);
  ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask_now), 0);
  for (int i = 1; i < NSIG; i++)
    ck_assert_msg(sigismember(&mask, i) == sigismember(&mask_now, i), "the mask of signal %d has changed", i);
  free(locale);
  place_end(&place);
}
END_TEST

static pthread_t main_thread;
static volatile sig_atomic_t elsewhere, ticks;

static void on_tick(int number)
{
  (void) number;
  ticks++;
  if (!pthread_equal(pthread_self(), main_thread))
    elsewhere = 1;
}

static void use_by_hand(struct place *place, const char *compute)
{
  struct magent_error error;
  struct magent_command_result *result = NULL;
  char yaml[64];
  (void) snprintf(yaml, sizeof(yaml), "compute: %s", compute);
  struct magent_agent *agent = agent_of(place, yaml);
  expect(magent_compute_upload(agent, place_path(place, "defaults.json"), "x", &error), 0, error);
  expect(magent_compute_execute(agent, "sleep 0.05; head -c 300000 /dev/zero; wc -c < x >&2", 0, &result, &error), 0,
         error);
  ck_assert_uint_eq(result->output_len, 300000);
  free(result);
  expect(magent_compute_download(agent, "x", place_path(place, "y"), &error), 0, error);
  magent_agent_free(agent);
}

START_TEST(a_storm_of_signals_ends_no_turn_and_reaches_no_thread_of_the_library)
{
  struct place place;
  struct sigaction action = {.sa_handler = on_tick}, before;
  struct itimerval often = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}}, never = {{0, 0}, {0, 0}};
  place_begin(&place, work);
  main_thread = pthread_self();
  const char *const *compute = computes();                   /* asks the machine, which a storm would disturb */
  ck_assert_int_eq(sigaction(SIGALRM, &action, &before), 0); /* without SA_RESTART */
  ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
  for (; *compute; compute++)
    for (int i = 0; i < 5 || ticks < 20; i++) {
      run_one(&place, *compute, "storm");
      use_by_hand(&place, *compute);
    }
  ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
  ck_assert_int_eq(sigaction(SIGALRM, &before, NULL), 0);
  ck_assert_int_eq(elsewhere, 0);
  place_end(&place);
}
END_TEST

/* ---- Children --------------------------------------------------------------------------------------------------- */

START_TEST(children_of_the_program_are_left_to_it)
{
  struct place place;
  int status = 0;
  place_begin(&place, work);
  for (const char *const *compute = computes(); *compute; compute++) {
    pid_t pid = fork();
    if (pid == 0)
      _exit(42);
    ck_assert_int_gt(pid, 0);
    run_one(&place, *compute, "child");
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 42);
  }
  magent_close(place.magent);
  place.magent = NULL;
  ck_assert_msg(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD, "a child of the library is left");
  place_end(&place);
}
END_TEST

static int fork_and_exec(void *ctx, const struct magent_event *event)
{
  int status = -1;
  if (event->kind != MAGENT_EVENT)
    return 0;
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", "exit 7", (char *) NULL);
    _exit(127);
  }
  ck_assert_int_gt(pid, 0);
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(WEXITSTATUS(status), 7);
  ++*(int *) ctx;
  return 0;
}

START_TEST(a_program_forks_and_executes_while_a_turn_runs)
{
  struct place place;
  struct magent_error error;
  int forks = 0;
  place_begin(&place, work);
  for (const char *const *compute = computes(); *compute; compute++) {
    char yaml[64];
    (void) snprintf(yaml, sizeof(yaml), "compute: %s", *compute);
    struct magent_agent *agent = agent_of(&place, yaml);
    expect(magent_stream(agent, "fork", fork_and_exec, &forks, &error), MAGENT_END_TURN, error);
    magent_agent_free(agent);
  }
  ck_assert_int_gt(forks, 5);
  place_end(&place);
}
END_TEST

/* ---- Closing ---------------------------------------------------------------------------------------------------- */

START_TEST(everything_can_be_freed_in_every_legal_order)
{
  struct place place;
  struct magent_error error;
  place_begin(&place, work);
  for (int order = 0; order < 4; order++) {
    struct magent *contexts[2] = {place_open(&place), place_open(&place)};
    struct place places[2] = {place, place};
    places[0].magent = contexts[0];
    places[1].magent = contexts[1];
    struct magent_agent *agents[2] = {agent_of(&places[0], NULL), agent_of(&places[1], NULL)};
    struct magent_stream *stream = NULL;
    expect(magent_stream_open(agents[order & 1], "x", &stream, &error), 0, error);
    if (order & 2)
      expect(magent_execute(agents[!(order & 1)], "y", NULL, &error), 0, error);
    magent_agent_free(agents[!(order & 1)]);
    magent_close(contexts[!(order & 1)]);
    (void) magent_stream_close(stream, NULL);
    magent_agent_free(agents[order & 1]);
    magent_close(contexts[order & 1]);
  }
  magent_agent_free(NULL);
  magent_close(NULL);
  place_end(&place);
}
END_TEST

TCase *embed_guest_tests(void)
{
  TCase *t = tcase_create("guest");
  tcase_add_test(t, many_agents_of_several_contexts_run_at_once);
  tcase_add_test(t, no_descriptor_is_left_after_close_and_none_goes_to_children);
  tcase_add_test(t, handlers_masks_directory_umask_locale_and_environment_stay);
  tcase_add_test(t, a_storm_of_signals_ends_no_turn_and_reaches_no_thread_of_the_library);
  tcase_add_test(t, children_of_the_program_are_left_to_it);
  tcase_add_test(t, a_program_forks_and_executes_while_a_turn_runs);
  tcase_add_test(t, everything_can_be_freed_in_every_legal_order);
  return t;
}
