/* Full disks, and files that are not as they should be: nothing is lost silently, and the way out is told. */
#include "store_sqlite_test.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
  struct store_client client = open_again();
  OK(&client, store_client_probe(&client));
  store_client_close(&client);
  save(path, zeroes, sizeof(zeroes), (page - 1) * 4096);
  client = open_again();
  FAILS(&client, store_client_probe(&client), MBP_E_CORRUPT);
  SAYS(&client, ".recover");
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
    (void) store_client_probe(&client);
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

void store_damage_tests(Suite *suite)
{
  TCase *t = tcase_create("damage");
  tcase_set_timeout(t, 600);
  tcase_add_test(t, the_limit_of_a_files_size_is_survived);
  tcase_add_test(t, a_full_disk_is_survived);
  tcase_add_test(t, a_newer_file_is_left_alone);
  tcase_add_test(t, another_programs_file_is_left_alone);
  tcase_add_test(t, damage_is_told_with_the_way_out);
  tcase_add_test(t, random_damage_crashes_nothing);
  tcase_add_test(t, what_may_only_be_read_is_read);
  suite_add_tcase(suite, t);
}
