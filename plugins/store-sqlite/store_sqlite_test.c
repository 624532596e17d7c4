/* The contract of stores, for this one, and what is SQLite's own: files, processes, crashes. */
#include "store_sqlite_test.h"
#include "../../tests/lib/run.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- Places --------------------------------------------------------------------------------------------------- */

char root[256], path[400];

void fresh_path(void)
{
  static unsigned number;
  (void) snprintf(path, sizeof(path), "%s/%d-%u/state/magent.db", root, (int) getpid(), number++);
}

void write_options(char *options, size_t cap, const char *more)
{
  (void) snprintf(options, cap, "{\"path\":\"%s\"%s}", path, more);
}

static void fresh(char *options, size_t cap)
{
  fresh_path();
  write_options(options, cap, "");
}

static struct store_client open_with(const char *more)
{
  struct store_client client;
  char options[600];
  write_options(options, sizeof(options), more);
  ck_assert_msg(store_client_open(&client, mbp_plugin_v0(), options) == 0, "%s", client.err.message);
  return client;
}

struct store_client open_again(void)
{
  return open_with("");
}

struct store_client open_fresh(void)
{
  fresh_path();
  return open_again();
}

static void remove_tree(const char *directory)
{
  DIR *list = opendir(directory);
  for (struct dirent *entry; list && (entry = readdir(list));) {
    char name[600];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    (void) snprintf(name, sizeof(name), "%s/%s", directory, entry->d_name);
    if (unlink(name) < 0)
      remove_tree(name);
  }
  if (list)
    (void) closedir(list);
  (void) rmdir(directory);
}

void load(const char *name, struct mag_buf *content)
{
  char piece[65536];
  ssize_t n;
  mag_autoclose int fd = open(name, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, "%s", name);
  while ((n = read(fd, piece, sizeof(piece))) > 0)
    mag_buf_add(content, piece, (size_t) n);
}

void save(const char *name, const void *content, size_t len, off_t at)
{
  mag_autoclose int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(pwrite(fd, content, len, at), (ssize_t) len);
}

void execute(const char *sql)
{
  sqlite3 *db = NULL;
  char *text = NULL;
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &text) == SQLITE_OK, "%s", text);
  sqlite3_close(db);
}

int64_t ask(const char *sql)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
  int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

/* ---- Other processes: this program again, with a word that says what to do ------------------------------------ */

static pid_t run_self(const char *what, const char *argument, int *ret_fd)
{
  int ends[2];
  ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    (void) dup2(ends[1], 1);
    (void) execl("/proc/self/exe", "store_sqlite_test", what, path, argument, (char *) NULL);
    _exit(127);
  }
  (void) close(ends[1]);
  *ret_fd = ends[0];
  return pid;
}

static void end(pid_t pid, int signal_number)
{
  if (signal_number)
    ck_assert_int_eq(kill(pid, signal_number), 0);
  ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

struct writing {
  pthread_t thread;
  struct store_client client;
  const char *round;
  int number;
};

/* Appends for ever and tells of each append that was acknowledged: "SESSION SEQ PAYLOAD". One short write to a pipe is
 * whole or not there. */
static void *write_for_ever(void *arg)
{
  struct writing *writing = arg;
  char session[16] = "shared", payload[64], line[128];
  if (writing->number >= 4)
    (void) snprintf(session, sizeof(session), "s%d", writing->number);
  for (unsigned i = 0;; i++) {
    (void) snprintf(payload, sizeof(payload), "%s.%d.%u", writing->round, writing->number, i);
    struct mbp_record records[2] = {{.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str(payload)},
                                    {.klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("second")}};
    struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                                .session = mbp_str(session),
                                .expected = MBP_SEQ_ANY,
                                .records = records,
                                .n_records = 2,
                                .summary = mbp_str(i % 16   ? ""
                                                   : i % 32 ? "{\"status\":\"a\"}"
                                                            : "{\"status\":\"b\"}")};
    struct mbp_appended appended = {0};
    if (store_client_append(&writing->client, &append, &appended) < 0) {
      (void) fprintf(stderr, "writer: %s\n", writing->client.err.message);
      _exit(3);
    }
    int len = snprintf(line, sizeof(line), "%s %llu %s\n", session, (unsigned long long) appended.first, payload);
    if (write(1, line, (size_t) len) != len)
      _exit(4);
  }
}

/* Outside of a test: no assertions. */
static struct store_client open_here(void)
{
  struct store_client client;
  char options[600];
  write_options(options, sizeof(options), "");
  if (store_client_open(&client, mbp_plugin_v0(), options) < 0) {
    (void) fprintf(stderr, "%s\n", client.err.message);
    _exit(2);
  }
  return client;
}

static int be_writer(const char *round)
{
  static struct writing writings[8];
  struct store_client client = open_here();
  for (int i = 0; i < 8; i++) {
    writings[i] = (struct writing){.client = client, .round = round, .number = i};
    if (pthread_create(&writings[i].thread, NULL, write_for_ever, &writings[i]) != 0)
      return 5;
  }
  for (int i = 0; i < 8; i++)
    (void) pthread_join(writings[i].thread, NULL);
  return 0;
}

static int be_appender(int count)
{
  struct store_client client = open_here();
  for (int i = 0; i < count; i++)
    if (store_client_event(&client, "s", "of another process") < 0) {
      (void) fprintf(stderr, "appender: %s\n", client.err.message);
      return 3;
    }
  store_client_close(&client);
  return 0;
}

static _Noreturn void be_claimer(void)
{
  struct store_client client = open_here();
  int r = store_client_claim(&client, "s", NULL);
  (void) !write(1, r == 0 ? "y" : "n", 1);
  for (;;)
    (void) pause();
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

static void mode_is(const char *suffix, unsigned wanted)
{
  char name[500];
  struct stat status;
  (void) snprintf(name, sizeof(name), "%s%s", path, suffix);
  ck_assert_msg(stat(name, &status) == 0, "%s", name);
  ck_assert_msg((status.st_mode & 07777) == wanted, "%s has mode %o", name, status.st_mode & 07777);
}

START_TEST(files_and_directories_are_for_their_owner_alone)
{
  mode_t mask = umask(0);
  struct store_client client = open_fresh();
  OK(&client, store_client_create(&client, "s", "1", NULL));
  OK(&client, store_client_claim(&client, "s", NULL));
  umask(mask);
  mode_is("", 0600);
  mode_is("-wal", 0600);
  mode_is("-shm", 0600);
  mode_is("-claims", 0600);
  store_client_close(&client);
  for (int i = 0; i < 2; i++) {
    *strrchr(path, '/') = 0;
    mode_is("", 0700);
  }
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
  static char large[4097];
  fresh_path();
  struct store_client client = open_with(",\"max_record\":\"4K\"");
  memset(large, 'x', 4096);
  OK(&client, store_client_create(&client, "s", "1", NULL));
  FAILS(&client, store_client_event(&client, "s", large), MBP_E_LIMIT);
  SAYS(&client, "max_record");
  large[4000] = 0;
  OK(&client, store_client_event(&client, "s", large));
  static char summary[70000] = "{\"k\":\"";
  memset(summary + 6, 'x', sizeof(summary) - 10);
  FAILS(&client, store_client_create(&client, "t", "1", summary), MBP_E_LIMIT);
  store_client_close(&client);
}
END_TEST

START_TEST(what_is_removed_is_gone_from_the_file)
{
  struct store_client client = open_fresh();
  struct mbp_record records[5000];
  for (size_t i = 0; i < MAG_COUNT(records); i++)
    records[i] = (struct mbp_record){
        .klass = MBP_RECORD_EVENT, .type = mbp_str("t"), .payload = mbp_str("the dark secret of the log")};
  struct mbp_append append = {.size = MBP_SIZE(struct mbp_append, summary),
                              .flags = MBP_APPEND_CREATE,
                              .session = mbp_str("s"),
                              .records = records,
                              .n_records = MAG_COUNT(records),
                              .summary = mbp_str("{\"k\":\"darkly\"}")};
  struct mbp_appended appended = {0};
  OK(&client, store_client_append(&client, &append, &appended));
  OK(&client, store_client_create(&client, "other", "1", NULL));
  OK(&client, store_client_fork(&client, "s", 10, "f", "{}"));
  OK(&client, store_client_fork(&client, "f", 10, "g", "{}"));
  OK(&client, store_client_remove(&client, "s"));
  store_client_close(&client);
  ck_assert_int_eq(ask("SELECT count(*) FROM record"), 11);
  client = open_again();
  OK(&client, store_client_remove(&client, "f"));
  OK(&client, store_client_remove(&client, "g"));
  store_client_close(&client);
  ck_assert_int_eq(ask("SELECT count(*) FROM record"), 1);
  ck_assert_int_eq(ask("SELECT count(*) FROM session"), 1);
  mag_autobuf content = MAG_BUF_INIT;
  load(path, &content);
  ck_assert_ptr_null(memmem(content.ptr, content.len, "dark", 4));
}
END_TEST

START_TEST(a_file_that_is_removed_while_in_use_loses_nothing_silently)
{
  struct store_client client = open_fresh();
  OK(&client, store_client_create(&client, "s", "1", NULL));
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, NULL));
  ck_assert_int_eq(unlink(path), 0);
  int r = store_client_event(&client, "s", "2");
  ck_assert_msg(r == -MBP_E_LOST || r == -MBP_E_NOT_FOUND || r == -MBP_E_CORRUPT, "%d: %s", r, client.err.message);
  ck_assert_int_lt(store_client_read(&client, "s", 1, 0, NULL, NULL), 0);
  store_client_close(&client);
}
END_TEST

/* ---- Several processes ---------------------------------------------------------------------------------------- */

START_TEST(two_processes_use_one_file)
{
  struct store_client client = open_fresh();
  int fds[2];
  pid_t pids[2];
  uint64_t count;
  OK(&client, store_client_create(&client, "s", "1", NULL));
  for (int i = 0; i < 2; i++)
    pids[i] = run_self("appender", "200", &fds[i]);
  for (int i = 0; i < 200; i++) {
    OK(&client, store_client_event(&client, "s", "of this process"));
    if (i % 20 == 0)
      OK(&client, store_client_read(&client, "s", 1, 0, NULL, NULL));
  }
  for (int i = 0; i < 2; i++) {
    int status = -1;
    ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
    ck_assert_int_eq(status, 0);
    (void) close(fds[i]);
  }
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, &count));
  ck_assert_uint_eq(count, 601);
  store_client_close(&client);
}
END_TEST

START_TEST(processes_that_make_the_file_at_the_same_time_agree)
{
  for (int round = 0; round < 5; round++) {
    pid_t pids[4];
    int fds[4], status;
    fresh_path();
    for (int i = 0; i < 4; i++)
      pids[i] = run_self("creator", i == 0 ? "a" : i == 1 ? "b" : i == 2 ? "c" : "d", &fds[i]);
    for (int i = 0; i < 4; i++) {
      ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
      ck_assert_int_eq(status, 0);
      (void) close(fds[i]);
    }
    ck_assert_int_eq(ask("SELECT count(*) FROM record"), 4);
  }
}
END_TEST

START_TEST(sigkill_frees_a_claim_at_once)
{
  struct store_client client = open_fresh();
  struct mbp_claim claim;
  struct mbp_head head;
  char answer = 0;
  int fd;
  OK(&client, store_client_create(&client, "s", "1", NULL));
  pid_t pid = run_self("claimer", "", &fd);
  ck_assert_int_eq(read(fd, &answer, 1), 1);
  ck_assert_int_eq(answer, 'y');
  FAILS(&client, store_client_claim(&client, "s", &claim), MBP_E_BUSY);
  SAYS(&client, "another process");
  OK(&client, store_client_head(&client, "s", &head));
  ck_assert_uint_eq(head.claimed, 1);
  end(pid, SIGKILL);
  OK(&client, store_client_head(&client, "s", &head));
  ck_assert_uint_eq(head.claimed, 0);
  OK(&client, store_client_claim(&client, "s", &claim));
  ck_assert_uint_eq(claim.epoch, 2);
  (void) close(fd);
  store_client_close(&client);
}
END_TEST

START_TEST(a_lock_of_another_program_is_waited_for_and_then_named)
{
  fresh_path();
  struct store_client client = open_with(",\"busy_timeout\":\"100ms\"");
  sqlite3 *db = NULL;
  OK(&client, store_client_create(&client, "s", "1", NULL));
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  int64_t begun = mag_clock_monotonic_ms();
  FAILS(&client, store_client_event(&client, "s", "2"), MBP_E_BUSY);
  SAYS(&client, "locked by another program");
  ck_assert(client.err.flags & MBP_ERR_RETRYABLE);
  ck_assert_int_ge(mag_clock_monotonic_ms() - begun, 100);
  ck_assert_int_lt(mag_clock_monotonic_ms() - begun, 3000);
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, NULL));
  ck_assert_int_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  OK(&client, store_client_event(&client, "s", "2"));
  sqlite3_close(db);
  store_client_close(&client);
}
END_TEST

/* ---- Crashes -------------------------------------------------------------------------------------------------- */

/* What the log of a session holds, as a text "SEQ:PAYLOAD ..." with a space before it; gaps fail in the reading. */
static void load_log(struct store_client *client, const char *session, uint64_t from, struct mag_buf *text)
{
  mag_buf_clear(text);
  mag_buf_add_char(text, ' ');
  OK(client, store_client_read(client, session, from, 0, text, NULL));
}

static void check_acknowledged(struct store_client *client, char *lines, const uint64_t before[9])
{
  struct mag_buf logs[9] = {MAG_BUF_INIT};
  char *state = NULL;
  size_t checked = 0;
  for (int i = 0; i < 9; i++) {
    char session[16] = "shared";
    if (i >= 4)
      (void) snprintf(session, sizeof(session), "s%d", i);
    if (i == 0 || (i >= 4 && i < 8))
      load_log(client, session, before[i] + 1, &logs[i]);
  }
  for (char *line = strtok_r(lines, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
    char session[16], payload[64], wanted[128];
    unsigned long long seq;
    ck_assert_int_eq(sscanf(line, "%15s %llu %63s", session, &seq, payload), 3);
    const char *log = logs[session[1] == 'h' ? 0 : session[1] - '0'].ptr;
    (void) snprintf(wanted, sizeof(wanted), " %llu:%s %llu:second ", seq, payload, seq + 1);
    ck_assert_msg(strstr(log, wanted) != NULL, "lost: %s", line);
    (void) snprintf(wanted, sizeof(wanted), ":%s ", payload);
    const char *first = strstr(log, wanted);
    ck_assert_msg(!strstr(first + 1, wanted), "doubled: %s", line);
    checked++;
  }
  for (int i = 0; i < 9; i++)
    mag_buf_done(&logs[i]);
  (void) checked;
}

START_TEST(kill_9_at_any_instant_loses_and_doubles_nothing)
{
  const char *wanted = secure_getenv("MAGENT_STORE_KILLS");
  int kills = wanted ? (int) strtol(wanted, NULL, 10) : 30;
  struct store_client client = open_fresh();
  static const char *const sessions[] = {"shared", "s4", "s5", "s6", "s7"};
  uint64_t before[9] = {0}, total = 0;
  unsigned seed = (unsigned) mag_clock_monotonic_ns();
  (void) printf("# %d kills, seed %u\n", kills, seed);
  for (size_t i = 0; i < MAG_COUNT(sessions); i++)
    OK(&client, store_client_create(&client, sessions[i], "first", NULL));
  store_client_close(&client);
  for (int round = 0; round < kills; round++) {
    mag_autobuf lines = MAG_BUF_INIT;
    char number[16], piece[4096];
    ssize_t n;
    int fd;
    client = open_again();
    for (size_t i = 0; i < MAG_COUNT(sessions); i++) {
      struct mbp_head head;
      OK(&client, store_client_head(&client, sessions[i], &head));
      before[i ? i + 3 : 0] = head.last;
    }
    /* Sometimes the last connection is the killed one's, so that the next opening recovers. */
    if (round % 2)
      store_client_close(&client);
    (void) snprintf(number, sizeof(number), "r%d", round);
    pid_t pid = run_self("writer", number, &fd);
    (void) fcntl(fd, F_SETPIPE_SZ, 1024 * 1024);
    if (round % 4) /* else at an instant of its start */
      ck_assert_int_gt(n = read(fd, piece, sizeof(piece)), 0);
    else
      n = 0;
    mag_buf_add(&lines, piece, (size_t) n);
    usleep((useconds_t) (rand_r(&seed) % 40000));
    end(pid, SIGKILL);
    while ((n = read(fd, piece, sizeof(piece))) > 0)
      mag_buf_add(&lines, piece, (size_t) n);
    (void) close(fd);
    if (round % 2)
      client = open_again();
    for (size_t i = 0; i < lines.len; i++)
      total += lines.ptr[i] == '\n';
    if (lines.len)
      check_acknowledged(&client, lines.ptr, before);
    store_client_close(&client);
  }
  (void) printf("# %llu appends were acknowledged before a kill\n", (unsigned long long) total);
  ck_assert_uint_gt(total, (uint64_t) kills);
  ck_assert_int_eq(ask("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}
END_TEST

/* ---- Many sessions -------------------------------------------------------------------------------------------- */

static void begins(struct store_client *client, const char *filter, bool descending, const char *wanted)
{
  mag_autobuf text = MAG_BUF_INIT;
  OK(client, store_client_list(client, NULL, filter, 50, descending, NULL, &text));
  ck_assert_msg(strncmp(text.ptr ? text.ptr : "", wanted, strlen(wanted)) == 0, "%.100s", text.ptr);
}

START_TEST(a_hundred_thousand_sessions_are_listed)
{
  struct store_client client = open_fresh();
  OK(&client, store_client_create(&client, "first", "1", NULL));
  OK(&client, store_client_remove(&client, "first"));
  store_client_close(&client);
  execute("BEGIN;"
          "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
          " INSERT INTO session (id, name, epoch, upto, created_ms, summary) SELECT i + 10, 'session_' || i, 0, 0, i,"
          " json_object('status', CASE i % 20000 WHEN 7 THEN 'running' ELSE 'idle' END, 'agent', 'agent_' || (i % 100),"
          " 'title', 'some title of the session') FROM n;"
          "INSERT INTO record SELECT id, 1, 0, 0, 1, 't', '{}' FROM session WHERE name IS NOT NULL;"
          "COMMIT");
  client = open_again();
  begins(&client, NULL, false, "session_1=1 session_2=1 ");
  begins(&client, NULL, true, "session_100000=1 session_99999=1 ");
  begins(&client, "{\"status\":\"idle\"}", true, "session_100000=1 ");
  begins(&client, "{\"status\":\"running\"}", false, "session_7=1 session_20007=1 ");
  begins(&client, "{\"status\":\"running\",\"agent\":\"agent_7\"}", false, "session_7=1 ");
  begins(&client, "{\"status\":\"idle\",\"agent\":\"agent_8\"}", true, "session_99908=1 ");
  store_client_close(&client);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------------- */

static int be_other_process(char **argv)
{
  (void) snprintf(path, sizeof(path), "%s", argv[2]);
  if (strcmp(argv[1], "writer") == 0)
    return be_writer(argv[3]);
  if (strcmp(argv[1], "appender") == 0)
    return be_appender((int) strtol(argv[3], NULL, 10));
  if (strcmp(argv[1], "claimer") == 0)
    be_claimer();
  struct store_client client = open_here();
  int r = store_client_create(&client, argv[3], "1", NULL);
  if (r < 0)
    (void) fprintf(stderr, "creator: %s\n", client.err.message);
  store_client_close(&client);
  return r < 0;
}

int main(int argc, char **argv)
{
  static const struct store_subject subject = {.fresh = fresh};
  struct store_subject own = subject;
  if (argc == 4)
    return be_other_process(argv);
  const char *temporary = secure_getenv("TMPDIR");
  (void) snprintf(root, sizeof(root), "%s/store-test-XXXXXX", temporary ? temporary : "/tmp");
  if (!mkdtemp(root))
    return 1;
  own.plugin = mbp_plugin_v0();
  Suite *suite = suite_create("store-sqlite");
  store_contract_add(suite, &own);
  TCase *t = tcase_create("sqlite");
  tcase_set_timeout(t, 600);
  tcase_add_test(t, files_and_directories_are_for_their_owner_alone);
  tcase_add_test(t, what_is_too_large_is_refused);
  tcase_add_test(t, what_is_removed_is_gone_from_the_file);
  tcase_add_test(t, a_file_that_is_removed_while_in_use_loses_nothing_silently);
  tcase_add_test(t, two_processes_use_one_file);
  tcase_add_test(t, processes_that_make_the_file_at_the_same_time_agree);
  tcase_add_test(t, sigkill_frees_a_claim_at_once);
  tcase_add_test(t, a_lock_of_another_program_is_waited_for_and_then_named);
  tcase_add_test(t, kill_9_at_any_instant_loses_and_doubles_nothing);
  tcase_add_test(t, a_hundred_thousand_sessions_are_listed);
  suite_add_tcase(suite, t);
  store_damage_tests(suite);
  int failed = run_suite(suite);
  remove_tree(root);
  return failed;
}
