/* The contract of stores, for this one, and what is SQLite's own: files, processes, crashes, disks. */
#include "store_contract.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

const struct mbp_plugin *mbp_plugin_v0(void);

#define OK(client_, operation_) ck_assert_msg((operation_) == 0, "%s", (client_)->err.message)
#define FAILS(client_, operation_, code_)                                                                              \
  do {                                                                                                                 \
    int r_ = (operation_);                                                                                             \
    ck_assert_msg(r_ == -(code_), "%d: %s", r_, (client_)->err.message);                                               \
  } while (0)
#define SAYS(client_, text_)                                                                                           \
  ck_assert_msg(strstr((client_)->err.message, (text_)) != NULL, "\"%s\" is not in: %s", (text_),                      \
                (client_)->err.message)

/* ---- Places --------------------------------------------------------------------------------------------------- */

static char root[256]; /* removed at the end of the program */
static char path[400]; /* of the test's database */

static void fresh_path(void)
{
  static unsigned number;
  (void) snprintf(path, sizeof(path), "%s/%d-%u/state/magent.db", root, (int) getpid(), number++);
}

static void write_options(char *options, size_t cap, const char *more)
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

static struct store_client open_again(void)
{
  return open_with("");
}

static struct store_client open_fresh(void)
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

static void load(const char *name, struct mag_buf *content)
{
  char piece[65536];
  ssize_t n;
  mag_autoclose int fd = open(name, O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, "%s", name);
  while ((n = read(fd, piece, sizeof(piece))) > 0)
    mag_buf_add(content, piece, (size_t) n);
}

static void save(const char *name, const void *content, size_t len, off_t at)
{
  mag_autoclose int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(pwrite(fd, content, len, at), (ssize_t) len);
}

static void execute(const char *sql)
{
  sqlite3 *db = NULL;
  char *text = NULL;
  ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 10000);
  ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &text) == SQLITE_OK, "%s", text);
  sqlite3_close(db);
}

static int64_t ask(const char *sql)
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
  ck_assert_int_eq(ask("SELECT count(*) FROM member"), 0);
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

/* ---- Full disks ----------------------------------------------------------------------------------------------- */

static int append_until_full(struct store_client *client, uint64_t *acknowledged)
{
  static char payload[100001];
  int r = 0;
  memset(payload, 'x', sizeof(payload) - 1);
  for (int i = 0; i < 1000 && (r = store_client_event(client, "s", payload)) == 0; i++)
    (*acknowledged)++;
  return r;
}

static void survive_full_disk(void (*widen)(void))
{
  struct store_client client = open_again();
  struct mbp_head head;
  uint64_t acknowledged = 1, count;
  OK(&client, store_client_create(&client, "s", "1", NULL));
  FAILS(&client, append_until_full(&client, &acknowledged), MBP_E_NO_SPACE);
  SAYS(&client, "make space");
  ck_assert_uint_gt(acknowledged, 3);
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, &count));
  ck_assert_uint_eq(count, acknowledged);
  FAILS(&client, append_until_full(&client, &acknowledged), MBP_E_NO_SPACE);
  widen();
  OK(&client, store_client_event(&client, "s", "there is space again"));
  OK(&client, store_client_head(&client, "s", &head));
  ck_assert_uint_eq(head.last, acknowledged + 1);
  store_client_close(&client);
  client = open_again();
  OK(&client, store_client_read(&client, "s", 1, 0, NULL, &count));
  ck_assert_uint_eq(count, acknowledged + 1);
  store_client_close(&client);
  ck_assert_int_eq(ask("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

static struct rlimit old_limit;

static void widen_limit(void)
{
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
}

START_TEST(the_limit_of_a_files_size_is_survived)
{
  fresh_path();
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit limit = {.rlim_cur = 2 * 1024 * 1024, .rlim_max = old_limit.rlim_max};
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  survive_full_disk(widen_limit);
}
END_TEST

static char mounted[300];

static void widen_mount(void)
{
  ck_assert_int_eq(mount("tmpfs", mounted, "tmpfs", MS_REMOUNT, "size=64m"), 0);
}

START_TEST(a_full_disk_is_survived)
{
  (void) snprintf(mounted, sizeof(mounted), "%s/mounted-%d", root, (int) getpid());
  ck_assert_int_eq(mkdir(mounted, 0700), 0);
  if (mount("tmpfs", mounted, "tmpfs", 0, "size=2m") < 0) {
    (void) printf("# no right to mount: the full disk is not tried\n");
    return;
  }
  (void) snprintf(path, sizeof(path), "%s/magent.db", mounted);
  survive_full_disk(widen_mount);
  ck_assert_int_eq(umount(mounted), 0);
}
END_TEST

/* ---- Files that are not as they should be --------------------------------------------------------------------- */

/* No operation works, each says why, and the file is as it was. */
static void refuses(int code, const char *fragment)
{
  mag_autobuf before = MAG_BUF_INIT, after = MAG_BUF_INIT;
  struct mbp_head head;
  load(path, &before);
  struct store_client client = open_again();
  FAILS(&client, store_client_head(&client, "s", &head), code);
  SAYS(&client, fragment);
  SAYS(&client, path);
  FAILS(&client, store_client_event(&client, "s", "x"), code);
  SAYS(&client, fragment);
  FAILS(&client, store_client_claim(&client, "s", NULL), code);
  FAILS(&client, store_client_list(&client, NULL, NULL, 0, false, NULL, NULL), code);
  FAILS(&client, store_client_read(&client, "s", 1, 0, NULL, NULL), code);
  store_client_close(&client);
  load(path, &after);
  ck_assert(before.len == after.len && memcmp(before.ptr, after.ptr, before.len) == 0);
}

static void make_store(void)
{
  struct store_client client = open_fresh();
  OK(&client, store_client_create(&client, "s", "1", "{\"k\":1}"));
  for (int i = 0; i < 200; i++)
    OK(&client, store_client_event(&client, "s", "some text that fills the pages of the file, so that there are some"));
  OK(&client, store_client_put(&client, "agents", "a", 0, "{\"v\":1}", NULL));
  store_client_close(&client);
}

START_TEST(a_newer_file_is_left_alone)
{
  make_store();
  execute("PRAGMA user_version = 2");
  refuses(MBP_E_CORRUPT, "was written by a newer magent (schema 2, this one knows 1): upgrade magent");
  execute("PRAGMA user_version = 1");
  /* Also when the newer program comes while we are at work. */
  struct store_client client = open_again();
  OK(&client, store_client_event(&client, "s", "x"));
  execute("PRAGMA user_version = 2");
  FAILS(&client, store_client_event(&client, "s", "x"), MBP_E_CORRUPT);
  SAYS(&client, "upgrade magent");
  store_client_close(&client);
  ck_assert_int_eq(ask("SELECT count(*) FROM record"), 202);
}
END_TEST

START_TEST(another_programs_file_is_left_alone)
{
  make_store();
  execute("PRAGMA application_id = 7");
  refuses(MBP_E_CORRUPT, "is another program's database");
  fresh_path();
  struct store_client client = open_again(); /* makes the directory */
  OK(&client, store_client_list(&client, NULL, NULL, 0, false, NULL, NULL));
  store_client_close(&client);
  ck_assert_int_eq(unlink(path), 0);
  execute("CREATE TABLE notes (text)");
  refuses(MBP_E_CORRUPT, "is another program's database");
  static const char text[] = "These are my notes, not a database. They are longer than a database's header, which has "
                             "one hundred bytes.";
  save(path, text, sizeof(text), 0);
  ck_assert_int_eq(truncate(path, sizeof(text)), 0);
  refuses(MBP_E_CORRUPT, "is not a database");
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(mkdir(path, 0700), 0);
  client = open_again();
  FAILS(&client, store_client_event(&client, "s", "x"), MBP_E_INVALID);
  SAYS(&client, "is not a file");
  store_client_close(&client);
}
END_TEST

START_TEST(damage_is_told_with_the_way_out)
{
  static char zeroes[4096];
  make_store();
  int64_t page = ask("SELECT rootpage FROM sqlite_master WHERE name = 'record'");
  save(path, zeroes, sizeof(zeroes), (page - 1) * 4096);
  struct store_client client = open_again();
  FAILS(&client, store_client_read(&client, "s", 1, 0, NULL, NULL), MBP_E_CORRUPT);
  SAYS(&client, ".recover");
  FAILS(&client, store_client_event(&client, "s", "x"), MBP_E_CORRUPT);
  SAYS(&client, path);
  store_client_close(&client);
}
END_TEST

START_TEST(random_damage_crashes_nothing)
{
  mag_autobuf whole = MAG_BUF_INIT;
  unsigned seed = (unsigned) mag_clock_monotonic_ns();
  make_store();
  load(path, &whole);
  (void) printf("# random damage: seed %u\n", seed);
  for (int round = 0; round < 60; round++) {
    mag_autobuf damaged = MAG_BUF_INIT;
    struct mbp_head head;
    mag_buf_add_str(&damaged, mag_buf_str(&whole));
    for (int i = 0; i < 1 << (round % 8); i++)
      damaged.ptr[(unsigned) rand_r(&seed) % damaged.len] = (char) rand_r(&seed);
    size_t len = round % 5 ? damaged.len : (unsigned) rand_r(&seed) % damaged.len;
    struct store_client client = open_fresh();
    (void) store_client_list(&client, NULL, NULL, 0, false, NULL, NULL);
    store_client_close(&client);
    save(path, damaged.ptr, len, 0);
    ck_assert_int_eq(truncate(path, (off_t) len), 0);
    client = open_again();
    mag_autobuf text = MAG_BUF_INIT;
    (void) store_client_read(&client, "s", 1, 0, &text, NULL);
    (void) store_client_head(&client, "s", &head);
    (void) store_client_event(&client, "s", "x");
    (void) store_client_list(&client, NULL, "{\"k\":1}", 0, false, NULL, &text);
    (void) store_client_fork(&client, "s", 5, "f", NULL);
    (void) store_client_get(&client, "agents", "a", 0, &text);
    (void) store_client_remove(&client, "s");
    store_client_close(&client);
  }
}
END_TEST

/* As an ordinary user, whom modes bind: 0, or the number of the line that failed. */
#define WANT(condition_)                                                                                               \
  do {                                                                                                                 \
    if (!(condition_)) {                                                                                               \
      (void) fprintf(stderr, "line %d: %s\n", __LINE__, client.err.message);                                           \
      return 1;                                                                                                        \
    }                                                                                                                  \
  } while (0)

static int use_read_only(void)
{
  struct store_client client;
  char options[600];
  uint64_t count = 0;
  struct mbp_head head;
  if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
    return 1;
  write_options(options, sizeof(options), "");
  WANT(store_client_open(&client, mbp_plugin_v0(), options) == 0);
  WANT(store_client_read(&client, "s", 1, 0, NULL, &count) == 0 && count == 201);
  WANT(store_client_head(&client, "s", &head) == 0 && head.last == 201 && head.claimed == 0);
  WANT(store_client_list(&client, NULL, NULL, 0, false, NULL, NULL) == 0);
  WANT(store_client_event(&client, "s", "x") == -MBP_E_READ_ONLY && strstr(client.err.message, "not written"));
  WANT(store_client_claim(&client, "s", NULL) == -MBP_E_READ_ONLY);
  WANT(store_client_remove(&client, "s") == -MBP_E_READ_ONLY);
  WANT(store_client_put(&client, "agents", "b", 0, "{}", NULL) == -MBP_E_READ_ONLY);
  store_client_close(&client);
  return 0;
}

static int use_without_permission(void)
{
  struct store_client client;
  char options[600];
  if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
    return 1;
  write_options(options, sizeof(options), "");
  WANT(store_client_open(&client, mbp_plugin_v0(), options) == 0);
  WANT(store_client_read(&client, "s", 1, 0, NULL, NULL) == -MBP_E_PERMISSION &&
       strstr(client.err.message, "permission"));
  WANT(store_client_event(&client, "s", "x") == -MBP_E_PERMISSION);
  store_client_close(&client);
  return 0;
}

static void in_child(int (*run)(void))
{
  int status = -1;
  (void) fflush(NULL);
  pid_t pid = fork();
  if (pid == 0)
    _exit(run());
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, 0);
}

START_TEST(what_may_only_be_read_is_read)
{
  char directory[500], wal[500];
  make_store();
  (void) snprintf(wal, sizeof(wal), "%s-wal", path);
  (void) snprintf(directory, sizeof(directory), "%s/..", path);
  directory[strlen(path) - strlen("/magent.db")] = 0;
  char *above = strdup(directory);
  *strrchr(above, '/') = 0;
  ck_assert_int_eq(chmod(root, 0711) | chmod(above, 0711), 0);
  /* Neither the file nor its directory may be written. */
  ck_assert_int_eq(chmod(path, 0444) | chmod(directory, 0555), 0);
  in_child(use_read_only);
  /* The directory may. */
  ck_assert_int_eq(chmod(directory, 0777), 0);
  in_child(use_read_only);
  /* Nothing may. */
  (void) unlink(wal);
  ck_assert_int_eq(chmod(directory, 0555) | chmod(path, 0000), 0);
  in_child(use_without_permission);
  ck_assert_int_eq(chmod(directory, 0700), 0);
  free(above);
}
END_TEST

/* ---- Many sessions -------------------------------------------------------------------------------------------- */

static double list_ms(struct store_client *client, const char *filter, bool descending, const char *wanted)
{
  double best = 1e9;
  for (int i = 0; i < 5; i++) {
    mag_autobuf text = MAG_BUF_INIT;
    int64_t begun = mag_clock_monotonic_ns();
    OK(client, store_client_list(client, NULL, filter, 50, descending, NULL, &text));
    best = MAG_MIN(best, (double) (mag_clock_monotonic_ns() - begun) / 1e6);
    ck_assert_msg(strncmp(text.ptr ? text.ptr : "", wanted, strlen(wanted)) == 0, "%.100s", text.ptr);
  }
  (void) printf("# 50 of 100,000 sessions%s%s: %.2f ms\n", filter ? " with " : "", filter ? filter : "", best);
  return best;
}

START_TEST(fifty_of_a_hundred_thousand_sessions_are_listed_quickly)
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
          "INSERT INTO member SELECT m.key, json_quote(m.atom), s.id FROM session s, json_each(s.summary) m;"
          "COMMIT");
  client = open_again();
  double worst = 0;
  worst = MAG_MAX(worst, list_ms(&client, NULL, false, "session_1=1 session_2=1 "));
  worst = MAG_MAX(worst, list_ms(&client, NULL, true, "session_100000=1 session_99999=1 "));
  worst = MAG_MAX(worst, list_ms(&client, "{\"status\":\"idle\"}", true, "session_100000=1 "));
  worst = MAG_MAX(worst, list_ms(&client, "{\"status\":\"running\"}", false, "session_7=1 session_20007=1 "));
  worst = MAG_MAX(worst, list_ms(&client, "{\"status\":\"running\",\"agent\":\"agent_7\"}", false, "session_7=1 "));
  worst = MAG_MAX(worst, list_ms(&client, "{\"status\":\"idle\",\"agent\":\"agent_8\"}", true, "session_99908=1 "));
#ifdef MAGENT_SANITIZED
  worst /= 20;
#endif
  ck_assert_msg(worst < 5, "%.2f ms", worst);
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
  tcase_add_test(t, the_limit_of_a_files_size_is_survived);
  tcase_add_test(t, a_full_disk_is_survived);
  tcase_add_test(t, a_newer_file_is_left_alone);
  tcase_add_test(t, another_programs_file_is_left_alone);
  tcase_add_test(t, damage_is_told_with_the_way_out);
  tcase_add_test(t, random_damage_crashes_nothing);
  tcase_add_test(t, what_may_only_be_read_is_read);
  tcase_add_test(t, fifty_of_a_hundred_thousand_sessions_are_listed_quickly);
  suite_add_tcase(suite, t);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  remove_tree(root);
  return failed ? 1 : 0;
}
