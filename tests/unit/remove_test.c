/* Trees as a tool may leave them: copied, and removed by an ordinary user (the superuser is not stopped by modes). */
#include "../lib/run.h"
#include "base/tree.h"

#include "base/error.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static char top[] = "/tmp/magent-remove-XXXXXX";

static void make_file(const char *path)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
  if (fd < 0)
    _exit(10);
  (void) close(fd);
}

static void must(int result, int status)
{
  if (result < 0)
    _exit(status);
}

/* In a child: `tree` with directories of all modes, and a link to `kept`. */
static void remove_as_ordinary_user(void)
{
  static const unsigned modes[] = {0555, 0500, 0300, 0600, 0000};
  struct mbp_error err = MAG_ERROR_INIT;
  char name[64];
  if (geteuid() == 0) {
    must(setgid(NOBODY), 11);
    must(setuid(NOBODY), 11);
  }
  must(chdir(top), 12);
  must(mkdir("kept", 0500), 12);
  must(mkdir("tree", 0700), 12);
  must(symlink("../kept", "tree/link"), 12);
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    (void) snprintf(name, sizeof(name), "tree/%zu", i);
    must(mkdir(name, 0700), 13);
    (void) snprintf(name, sizeof(name), "tree/%zu/file", i);
    make_file(name);
    (void) snprintf(name, sizeof(name), "tree/%zu/inner", i);
    must(mkdir(name, 0700), 13);
    (void) snprintf(name, sizeof(name), "tree/%zu/inner/file", i);
    make_file(name);
    (void) snprintf(name, sizeof(name), "tree/%zu/inner", i);
    must(chmod(name, modes[i]), 13);
    (void) snprintf(name, sizeof(name), "tree/%zu", i);
    must(chmod(name, modes[i]), 13);
  }
  must(chmod("tree", 0555), 13);
  if (mag_tree_remove("tree", &err) < 0)
    _exit(20);
  struct stat st;
  if (lstat("tree", &st) == 0)
    _exit(21);
  if (stat("kept", &st) < 0 || (st.st_mode & 0777) != 0500) /* links are not followed */
    _exit(22);
  if (mag_tree_remove("tree", &err) < 0) /* again */
    _exit(23);
  must(rmdir("kept"), 24);
  _exit(0);
}

START_TEST(directories_of_any_mode_are_removed)
{
  int status = -1;
  ck_assert_ptr_nonnull(mkdtemp(top));
  ck_assert_int_eq(chmod(top, 0777), 0);
  pid_t child = fork();
  if (child == 0)
    remove_as_ordinary_user();
  ck_assert_int_gt(child, 0);
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", WEXITSTATUS(status));
  ck_assert_int_eq(rmdir(top), 0);
}
END_TEST

START_TEST(what_cannot_be_removed_is_told)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_int_lt(mag_tree_remove("/dev/null/x", &err), 0);
  ck_assert_ptr_nonnull(strstr(err.message, "/dev/null/x"));
}
END_TEST

/* What a tool may leave: links out of the tree, pipes, sockets, odd modes. */
START_TEST(a_copy_has_files_directories_and_links_and_nothing_else)
{
  char dir[] = "/tmp/magent-copy-XXXXXX", text[8] = "", target[64] = "";
  struct mbp_error err = MAG_ERROR_INIT;
  struct stat st;
  ck_assert_ptr_nonnull(mkdtemp(dir));
  ck_assert_int_eq(chdir(dir), 0);
  ck_assert(mkdir("from", 0700) == 0 && mkdir("from/in", 0750) == 0 && mkdir("from/in/empty", 0700) == 0);
  int fd = open("from/in/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ck_assert(fd >= 0 && write(fd, "text", 4) == 4 && fchmod(fd, 04755) == 0 && close(fd) == 0);
  make_file("from/none");
  ck_assert(symlink("/etc/passwd", "from/out") == 0 && symlink("nowhere", "from/dead") == 0);
  ck_assert(symlink("..", "from/in/up") == 0 && mkfifo("from/pipe", 0600) == 0);
  ck_assert_msg(mag_tree_copy("from", "to", &err) == 0, "%s", err.message);
  fd = open("to/in/file", O_RDONLY | O_CLOEXEC);
  ck_assert(fd >= 0 && read(fd, text, sizeof(text)) == 4 && strcmp(text, "text") == 0 && close(fd) == 0);
  ck_assert(stat("to/in/file", &st) == 0 && (st.st_mode & 07777) == 0755); /* no set-id bit */
  ck_assert(stat("to/in", &st) == 0 && (st.st_mode & 0777) == 0750);
  ck_assert(stat("to/none", &st) == 0 && st.st_size == 0);
  ck_assert(readlink("to/out", target, sizeof(target) - 1) == 11 && strcmp(target, "/etc/passwd") == 0);
  ck_assert(lstat("to/dead", &st) == 0 && S_ISLNK(st.st_mode) && lstat("to/in/up", &st) == 0);
  ck_assert(stat("to/in/empty", &st) == 0 && lstat("to/pipe", &st) < 0);
  ck_assert_int_lt(mag_tree_copy("from", "to", &err), 0); /* there is something */
  ck_assert_int_eq(stat("to/in/file", &st), 0);           /* which stays */
  ck_assert_int_lt(mag_tree_copy("from", "none/there", &err), 0);
  ck_assert_int_lt(mag_tree_copy("nothing", "there", &err), 0);
  ck_assert_int_lt(stat("there", &st), 0);
  ck_assert(mag_tree_remove(dir, &err) == 0 && chdir("/") == 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("remove");
  TCase *t = tcase_create("remove");
  tcase_add_test(t, directories_of_any_mode_are_removed);
  tcase_add_test(t, what_cannot_be_removed_is_told);
  tcase_add_test(t, a_copy_has_files_directories_and_links_and_nothing_else);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
