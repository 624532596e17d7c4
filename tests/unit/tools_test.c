/* The file tools, driven as a process on temporary trees. argv[1]: the program (default: the one beside this test). */
#include "../lib/run.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "sandbox/tool_common.h"
#include "sandbox/tool_pattern.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[PATH_MAX];
static char tree[64];
static struct mag_buf out, err;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove(path);
}

static void setup(void)
{
  (void) snprintf(tree, sizeof(tree), "/tmp/magent-tools-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(tree));
}

static void teardown(void)
{
  (void) nftw(tree, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  mag_buf_done(&out);
  mag_buf_done(&err);
}

static const char *at(const char *name)
{
  static char paths[4][PATH_MAX];
  static int turn;
  char *path = paths[turn++ % 4];
  (void) snprintf(path, PATH_MAX, "%s/%s", tree, name);
  return path;
}

static void put_bytes(const char *name, const char *text, size_t len)
{
  char path[PATH_MAX];
  (void) snprintf(path, sizeof(path), "%s", at(name));
  for (char *p = path + strlen(tree) + 1; (p = strchr(p, '/')); p++) {
    *p = 0;
    (void) mkdir(path, 0755);
    *p = '/';
  }
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ck_assert_int_ge(fd, 0);
  while (len) {
    ssize_t n = write(fd, text, len);
    ck_assert_int_gt(n, 0);
    text += n;
    len -= (size_t) n;
  }
  close(fd);
}

static void put(const char *name, const char *text)
{
  put_bytes(name, text, strlen(text));
}

static void content_is(const char *name, const char *wanted)
{
  char text[4096] = "";
  int fd = open(at(name), O_RDONLY | O_CLOEXEC);
  ck_assert_msg(fd >= 0, "%s: %d", name, errno);
  ssize_t n = read(fd, text, sizeof(text) - 1);
  ck_assert_int_ge(n, 0);
  close(fd);
  ck_assert_str_eq(text, wanted);
}

/* Runs the program in the tree with the arguments (NULL at the end); the exit status. */
static int run_input(const char *input, size_t len, va_list args)
{
  char *argv[32] = {program};
  int n = 1, in[2], pipes[2][2], status;
  for (const char *a; (a = va_arg(args, const char *)) && n < 31;)
    argv[n++] = (char *) (uintptr_t) a;
  ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(pipes[0], O_CLOEXEC) | pipe2(pipes[1], O_CLOEXEC), 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (chdir(tree) < 0)
      _exit(99);
    dup2(in[0], 0);
    dup2(pipes[0][1], 1);
    dup2(pipes[1][1], 2);
    execv(program, argv);
    _exit(98);
  }
  close(in[0]);
  close(pipes[0][1]);
  close(pipes[1][1]);
  while (len) {
    ssize_t w = write(in[1], input, len);
    if (w <= 0)
      break;
    input += w;
    len -= (size_t) w;
  }
  close(in[1]);
  mag_buf_clear(&out);
  mag_buf_clear(&err);
  struct pollfd fds[2] = {{pipes[0][0], POLLIN, 0}, {pipes[1][0], POLLIN, 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    char buf[4096];
    (void) poll(fds, 2, -1);
    for (int i = 0; i < 2; i++) {
      ssize_t got = fds[i].revents ? read(fds[i].fd, buf, sizeof(buf)) : -2;
      if (got > 0)
        mag_buf_add(i ? &err : &out, buf, (size_t) got);
      else if (got != -2)
        fds[i].fd = -1;
    }
  }
  close(pipes[0][0]);
  close(pipes[1][0]);
  waitpid(pid, &status, 0);
  mag_buf_add(&out, "", 0);
  if (!out.ptr)
    mag_buf_reserve(&out, 1);
  if (!err.ptr)
    mag_buf_reserve(&err, 1);
  out.ptr[out.len] = err.ptr[err.len] = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int run(const char *input, ...)
{
  va_list args;
  va_start(args, input);
  int r = run_input(input, input ? strlen(input) : 0, args);
  va_end(args);
  return r;
}

static void works(const char *wanted, int r)
{
  ck_assert_msg(r == 0, "exit %d: %s", r, err.ptr);
  ck_assert_str_eq(out.ptr, wanted);
}

static void fails(const char *wanted, int r)
{
  ck_assert_msg(r == 1, "exit %d: %s", r, out.ptr);
  ck_assert_msg(strstr(err.ptr, wanted) != NULL, "%s", err.ptr);
  ck_assert_uint_eq(strcspn(err.ptr, "\n") + 1, err.len); /* one line */
}

/* ---- read -------------------------------------------------------------------------------------------------------- */

START_TEST(read_shows_a_file_and_ranges_of_lines)
{
  put("f", "one\ntwo\nthree");
  works("one\ntwo\nthree", run(NULL, "read", "f", NULL));
  works("one\ntwo\nthree", run(NULL, "read", at("f"), NULL));
  works("two\n", run(NULL, "read", "--from", "2", "--to", "2", "f", NULL));
  works("two\nthree", run(NULL, "read", "--from", "2", "--to", "-1", "f", NULL));
  works("three", run(NULL, "read", "--from", "3", "--to", "0", "--", "f", NULL));
  fails("only 3 lines", run(NULL, "read", "--from", "4", "f", NULL));
  fails("holds no line", run(NULL, "read", "--from", "0", "f", NULL));
  fails("holds no line", run(NULL, "read", "--from", "3", "--to", "2", "f", NULL));
  put("empty", "");
  works("", run(NULL, "read", "empty", NULL));
}
END_TEST

START_TEST(read_takes_regular_text_files_only)
{
  put("dir/f", "");
  put_bytes("bin", "a\0b", 3);
  ck_assert_int_eq(mkfifo(at("fifo"), 0600), 0);
  fails("is a directory", run(NULL, "read", "dir", NULL));
  fails("binary file of 3 bytes", run(NULL, "read", "bin", NULL));
  fails("not a regular file", run(NULL, "read", "fifo", NULL));
  fails("not a regular file", run(NULL, "read", "/dev/zero", NULL));
  fails("does not exist", run(NULL, "read", "none", NULL));
  fails("does not exist", run(NULL, "read", "", NULL));
  ck_assert_int_eq(run(NULL, "read", NULL), 2);
  ck_assert_int_eq(run(NULL, "read", "--from", "x", "f", NULL), 2);
  ck_assert_int_eq(run(NULL, "read", "--nonsense", "f", NULL), 2);
}
END_TEST

START_TEST(read_shows_bytes_that_are_no_text_as_replacement)
{
  put("f", "a\xff"
           "b\xc3\xa4\xe2\x82");
  works("a\xef\xbf\xbd"
        "b\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd",
        run(NULL, "read", "f", NULL));
}
END_TEST

START_TEST(read_cuts_a_large_file_at_a_line_and_says_how_to_go_on)
{
  mag_autobuf text = MAG_BUF_INIT;
  for (int i = 1; i <= 60000; i++)
    mag_buf_printf(&text, "line %d\n", i);
  put_bytes("f", text.ptr, text.len);
  ck_assert_int_eq(run(NULL, "read", "f", NULL), 0);
  ck_assert_uint_lt(out.len, 256 * 1024 + 200);
  const char *note = strstr(out.ptr, "[cut: these are lines 1 to ");
  ck_assert_ptr_nonnull(note);
  long last = strtol(note + 27, NULL, 10);
  char wanted[32], from[32];
  (void) snprintf(wanted, sizeof(wanted), "line %ld\n", last + 1);
  (void) snprintf(from, sizeof(from), "%ld", last + 1);
  works(wanted, run(NULL, "read", "--from", from, "--to", from, "f", NULL));
  mag_buf_clear(&text);
  for (int i = 0; i < 100000; i++)
    mag_buf_add_text(&text, "\xc3\xa4\xc3\xa4x");
  put_bytes("g", text.ptr, text.len);
  ck_assert_int_eq(run(NULL, "read", "g", NULL), 0);
  ck_assert_ptr_nonnull(strstr(out.ptr, "[cut: line 1 is longer than 262144 bytes; the file has 500000 bytes]"));
  ck_assert_ptr_null(strstr(out.ptr, "\xef\xbf\xbd"));
}
END_TEST

/* ---- write ------------------------------------------------------------------------------------------------------- */

static mode_t mode_of(const char *name)
{
  struct stat st;
  ck_assert_int_eq(stat(at(name), &st), 0);
  return st.st_mode & 07777;
}

START_TEST(write_makes_files_and_directories_for_the_owner_only)
{
  works("wrote 5 bytes to a/b/c.txt\n", run("hello", "write", "a/b/c.txt", NULL));
  content_is("a/b/c.txt", "hello");
  ck_assert_uint_eq(mode_of("a"), 0700);
  ck_assert_uint_eq(mode_of("a/b"), 0700);
  ck_assert_uint_eq(mode_of("a/b/c.txt"), 0600);
  works("wrote 1 byte to ./a//b/./d\n", run("x", "write", "--bytes", "1", "./a//b/./d", NULL));
  content_is("a/b/d", "x");
  ck_assert_int_eq(run("y", "write", at("n/abs"), NULL), 0);
  content_is("n/abs", "y");
}
END_TEST

START_TEST(write_keeps_the_mode_and_follows_a_link_to_its_file)
{
  put("dir/real", "old");
  ck_assert_int_eq(chmod(at("dir/real"), 0751), 0);
  ck_assert_int_eq(symlink("dir/real", at("link")), 0);
  ck_assert_int_eq(run("new", "write", "link", NULL), 0);
  content_is("dir/real", "new");
  ck_assert_uint_eq(mode_of("dir/real"), 0751);
  struct stat st;
  ck_assert_int_eq(lstat(at("link"), &st), 0);
  ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(write_refuses_what_is_no_file_and_half_an_input)
{
  put("dir/f", "old");
  ck_assert_int_eq(symlink("nowhere", at("dangling")), 0);
  fails("is a directory", run("x", "write", "dir", NULL));
  fails("names a directory", run("x", "write", "new/", NULL));
  fails("not a directory", run("x", "write", "dir/f/g", NULL));
  fails("link to nothing", run("x", "write", "dangling", NULL));
  fails("..", run("x", "write", "none/../../up", NULL));
  fails("the path is empty", run("x", "write", "", NULL));
  fails("only 1 of 9 bytes", run("x", "write", "--bytes", "9", "dir/f", NULL));
  content_is("dir/f", "old");
  /* Nothing temporary stays. */
  ck_assert_int_eq(run(NULL, "glob", "**/*.tmp", NULL), 0);
  ck_assert_str_eq(out.ptr, "no matches\n");
}
END_TEST

/* ---- edit -------------------------------------------------------------------------------------------------------- */

static int edit(const char *path, const char *from, const char *to, bool all)
{
  char input[1024];
  (void) snprintf(input, sizeof(input), "%zu\n%s%zu\n%s", strlen(from), from, strlen(to), to);
  return all ? run(input, "edit", "--all", path, NULL) : run(input, "edit", path, NULL);
}

START_TEST(edit_replaces_the_one_place)
{
  put("f", "int a;\nint b;\n");
  ck_assert_int_eq(chmod(at("f"), 0755), 0);
  works("edited f (1 replacement)\n", edit("f", "a;\nint b", "c", false));
  content_is("f", "int c;\n");
  ck_assert_uint_eq(mode_of("f"), 0755);
  works("edited f (1 replacement)\n", edit("f", "int ", "", false));
  content_is("f", "c;\n");
}
END_TEST

START_TEST(edit_wants_a_unique_place_unless_told_otherwise)
{
  put("f", "aXaXaa");
  fails("old_string not found", edit("f", "b", "c", false));
  fails("old_string occurs 4 times", edit("f", "a", "c", false));
  works("edited f (4 replacements)\n", edit("f", "a", "bb", true));
  content_is("f", "bbXbbXbbbb");
  fails("old_string is empty", edit("f", "", "c", false));
  fails("are the same", edit("f", "b", "b", true));
  fails("does not exist", edit("none", "b", "c", true));
  fails("did not arrive whole", run("5\nab", "edit", "f", NULL));
  content_is("f", "bbXbbXbbbb");
}
END_TEST

START_TEST(blocks_are_read_exactly)
{
  struct tool_block blocks[2];
  ck_assert_int_eq(tool_blocks("2\nab0\n", 6, blocks), 0);
  ck_assert_uint_eq(blocks[0].len, 2);
  ck_assert_uint_eq(blocks[1].len, 0);
  const char *bad[] = {"", "2\nab", "2\nab1\n", "2\nab0\nx", "x\n", "\n\n", "99999999999\n", "-1\n0\n", "2ab0\n"};
  for (size_t i = 0; i < MAG_COUNT(bad); i++)
    ck_assert_msg(tool_blocks(bad[i], strlen(bad[i]), blocks) < 0, "%s", bad[i]);
}
END_TEST

/* ---- glob -------------------------------------------------------------------------------------------------------- */

static void age(const char *name, int seconds)
{
  struct timespec times[2] = {{.tv_sec = 1000000000 - seconds}, {.tv_sec = 1000000000 - seconds}};
  ck_assert_int_eq(utimensat(AT_FDCWD, at(name), times, AT_SYMLINK_NOFOLLOW), 0);
}

START_TEST(glob_lists_the_newest_first)
{
  put("old.c", "");
  put("src/new.c", "");
  put("src/deep/mid.c", "");
  put("src/x.h", "");
  put(".git/config.c", "");
  put("node_modules/m.c", "");
  age("old.c", 30);
  age("src/new.c", 10);
  age("src/deep/mid.c", 20);
  works("src/new.c\nsrc/deep/mid.c\nold.c\n", run(NULL, "glob", "**/*.c", NULL));
  works("old.c\n", run(NULL, "glob", "*.c", NULL));
  works("src/new.c\n", run(NULL, "glob", "src/*.c", NULL));
  works("src/new.c\nsrc/deep/mid.c\n", run(NULL, "glob", "--in", "src", "**/*.c", NULL));
  works("src/new.c\nsrc/deep/mid.c\n", run(NULL, "glob", "--in", "src/", "**/*.[c]", NULL));
  works("src/deep/\n", run(NULL, "glob", "**/d*/", NULL));
  works("no matches\n", run(NULL, "glob", "*.rs", NULL));
  char wanted[PATH_MAX];
  (void) snprintf(wanted, sizeof(wanted), "%s\n", at("src/x.h"));
  works(wanted, run(NULL, "glob", "--in", at("src"), "*.{h,hpp}", NULL));
}
END_TEST

START_TEST(glob_refuses_to_leave_and_bad_patterns)
{
  fails("must be relative", run(NULL, "glob", "/etc/*", NULL));
  fails("\"..\"", run(NULL, "glob", "../*", NULL));
  fails("\"..\"", run(NULL, "glob", "a/..", NULL));
  fails("\"..\"", run(NULL, "glob", "{..,a}/*", NULL));
  fails("empty", run(NULL, "glob", "", NULL));
  fails("too many", run(NULL, "glob", "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", NULL));
  fails("does not exist", run(NULL, "glob", "--in", "none", "*", NULL));
  put("f..g", "");
  works("f..g\n", run(NULL, "glob", "f..*", NULL));
}
END_TEST

START_TEST(glob_shows_at_most_200)
{
  char name[32];
  for (int i = 0; i < 450; i++) {
    (void) snprintf(name, sizeof(name), "d/f%03d", i);
    put(name, "");
    age(name, i);
  }
  ck_assert_int_eq(run(NULL, "glob", "**", NULL), 0);
  ck_assert_int_eq(strncmp(out.ptr, "d/f000\nd/f001\n", 14), 0);
  ck_assert_ptr_nonnull(strstr(out.ptr, "d/f199\n[the newest 200 of 450 matches]\n"));
}
END_TEST

static bool path_matches(const char *text, const char *path)
{
  static struct tool_pattern pattern;
  struct tool_progress progress;
  char copy[256];
  bool match = false;
  ck_assert_ptr_null(tool_pattern_parse(&pattern, text));
  tool_pattern_begin(&pattern, &progress);
  (void) snprintf(copy, sizeof(copy), "%s", path);
  for (char *rest = copy, *name; (name = strsep(&rest, "/"));)
    (void) tool_pattern_step(&pattern, &progress, name, &progress, &match);
  return match;
}

START_TEST(patterns_mean_what_shells_mean)
{
  const char *yes[][2] = {{"**/a", "a"},
                          {"**/a", "x/y/a"},
                          {"a/**", "a/b/c"},
                          {"a/**/b", "a/b"},
                          {"a/**/b", "a/x/y/b"},
                          {"?", "\xc3\xa4"},
                          {"[a-c]x", "bx"},
                          {"[!a-c]x", "dx"},
                          {"[]]", "]"},
                          {"*.{c,h}", "x.h"},
                          {"{a,b}/{c,d}", "b/c"},
                          {"\\*", "*"},
                          {"a*b*c", "a12b3b4c"},
                          {"./a", "a"},
                          {"[", "["},
                          {"{a", "{a"},
                          {"a{b,c{d,e}}f", "acef"},
                          {"[\xc3\xa4-\xc3\xbc]", "\xc3\xb6"},
                          {"**/*", ".hidden"}};
  const char *no[][2] = {{"*", "a/b"},  {"a", "b"},       {"**/a", "a/b"},     {"?", "ab"},
                         {"[!a]", "a"}, {"a/*/b", "a/b"}, {"*.{c,h}", "x.cc"}, {"a?", "a"}};
  for (size_t i = 0; i < MAG_COUNT(yes); i++)
    ck_assert_msg(path_matches(yes[i][0], yes[i][1]), "%s %s", yes[i][0], yes[i][1]);
  for (size_t i = 0; i < MAG_COUNT(no); i++)
    ck_assert_msg(!path_matches(no[i][0], no[i][1]), "%s %s", no[i][0], no[i][1]);
  char stars[512] = "", name[256];
  for (size_t i = 0; i < 120; i++)
    memcpy(stars + 2 * i, "*a", 2);
  stars[240] = 'b';
  memset(name, 'a', 255);
  name[255] = 0;
  int64_t from = mag_clock_monotonic_ms();
  ck_assert(!path_matches(stars, name));
  ck_assert(mag_clock_monotonic_ms() - from < 500);
}
END_TEST

/* ---- grep -------------------------------------------------------------------------------------------------------- */

START_TEST(grep_shows_path_line_and_text)
{
  put("b.txt", "foo\nbar\r\nfoobar");
  put("a/c.txt", "nothing\nfoo again\n");
  put(".git/x", "foo");
  put("node_modules/x", "foo");
  put_bytes("bin", "foo\0foo", 7);
  works("a/c.txt:2:foo again\nb.txt:1:foo\nb.txt:3:foobar\n", run(NULL, "grep", "foo", NULL));
  works("b.txt:2:bar\nb.txt:3:foobar\n", run(NULL, "grep", "bar$", NULL));
  works("a/c.txt:2:foo again\n", run(NULL, "grep", "--in", "a", "foo", NULL));
  works("b.txt:1:foo\n", run(NULL, "grep", "--in", "b.txt", "^foo$", NULL));
  works("no matches\n", run(NULL, "grep", "absent", NULL));
  works("b.txt:3:foobar\n", run(NULL, "grep", "--", "(?i)FOO(?=bar)", NULL));
  fails("no valid regular expression", run(NULL, "grep", "(", NULL));
  fails("does not exist", run(NULL, "grep", "--in", "none", "x", NULL));
}
END_TEST

START_TEST(grep_bounds_lines_output_and_patterns)
{
  mag_autobuf text = MAG_BUF_INIT;
  for (int i = 0; i < 3000; i++)
    mag_buf_add_text(&text, "\xc3\xa4");
  mag_buf_add_text(&text, "\n");
  put_bytes("long", text.ptr, text.len);
  ck_assert_int_eq(run(NULL, "grep", "\xc3\xa4", NULL), 0);
  ck_assert_ptr_nonnull(strstr(out.ptr, " [cut]\n"));
  ck_assert_uint_lt(out.len, 2100);
  ck_assert_ptr_null(strstr(out.ptr, "\xef\xbf\xbd"));
  mag_buf_clear(&text);
  for (int i = 0; i < 20000; i++)
    mag_buf_add_text(&text, "match me\n");
  put_bytes("many", text.ptr, text.len);
  ck_assert_int_eq(run(NULL, "grep", "match", NULL), 0);
  ck_assert_uint_lt(out.len, 100 * 1024 + 100);
  ck_assert_ptr_nonnull(strstr(out.ptr, "[cut: there are more matches"));
  mag_buf_clear(&text);
  for (int i = 0; i < 600000; i++)
    mag_buf_add_text(&text, "a");
  mag_buf_add_text(&text, "\nneedle\n");
  put_bytes("huge", text.ptr, text.len);
  works("huge:2:needle\n", run(NULL, "grep", "--in", "huge", "needle", NULL));
  put("evil", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
  int64_t from = mag_clock_monotonic_ms();
  ck_assert_int_eq(run(NULL, "grep", "--in", "evil", "^(a+)+(b|c)$", NULL), 0);
  ck_assert_ptr_nonnull(strstr(out.ptr, "no matches\n[1 line could not be searched"));
  ck_assert(mag_clock_monotonic_ms() - from < 5000);
  put("latin1", "caf\xe9 noir\n");
  works("latin1:1:caf\xef\xbf\xbd noir\n", run(NULL, "grep", "--in", "latin1", "noir", NULL));
}
END_TEST

/* ---- --root ------------------------------------------------------------------------------------------------------ */

START_TEST(a_root_holds_whatever_links_and_dots_say)
{
  put("in/f", "inside");
  put("out/secret", "outside");
  ck_assert_int_eq(symlink("../out/secret", at("in/leak")), 0);
  ck_assert_int_eq(symlink("../out", at("in/dir")), 0);
  ck_assert_int_eq(symlink("/etc", at("in/etc")), 0);
  ck_assert_int_eq(symlink(at("in/f"), at("in/absolute")), 0);
  const char *no = "outside of the directories";
  works("inside", run(NULL, "read", "--root", "in", "in/f", NULL));
  works("inside", run(NULL, "read", "--root", "in", "in/absolute", NULL));
  works("outside", run(NULL, "read", "--root", "in", "--root", "out", "in/leak", NULL));
  fails(no, run(NULL, "read", "--root", "in", "in/leak", NULL));
  fails(no, run(NULL, "read", "--root", "in", "in/dir/secret", NULL));
  fails(no, run(NULL, "read", "--root", "in", "in/../out/secret", NULL));
  fails(no, run(NULL, "read", "--root", "in", "in/etc/passwd", NULL));
  fails(no, run(NULL, "read", "--root", "in", "/etc/passwd", NULL));
  fails(no, run("x", "write", "--root", "in", "in/leak", NULL));
  fails(no, run("x", "write", "--root", "in", "in/dir/new", NULL));
  fails(no, run("x", "write", "--root", "in", "out/a/b", NULL));
  fails(no, run("1\no1\nx", "edit", "--root", "in", "in/leak", NULL));
  fails(no, run(NULL, "glob", "--root", "in", "--in", "in/dir", "*", NULL));
  fails(no, run(NULL, "glob", "--root", "in", "*", NULL));
  fails(no, run(NULL, "grep", "--root", "in", "--in", "in/dir", "o", NULL));
  fails("does not exist", run(NULL, "read", "--root", "none", "in/f", NULL));
  works("no matches\n", run(NULL, "grep", "--root", "in", "--in", "in", "outside", NULL));
  works("wrote 1 byte to in/a/b\n", run("x", "write", "--root", "in", "in/a/b", NULL));
  content_is("out/secret", "outside");
  put("inner/f", ""); /* begins like the root's name */
  fails(no, run(NULL, "read", "--root", "in", "inner/f", NULL));
}
END_TEST

START_TEST(a_link_swapped_in_while_a_tool_runs_lets_nobody_out)
{
  put("in/d/secret", "inside");
  put("out/secret", "outside");
  pid_t pid = fork();
  if (pid == 0) {
    char real[PATH_MAX], link[PATH_MAX], aside[PATH_MAX];
    (void) snprintf(real, sizeof(real), "%s/in/d", tree);
    (void) snprintf(link, sizeof(link), "%s/in/l", tree);
    (void) snprintf(aside, sizeof(aside), "%s/in/x", tree);
    for (;;) {
      (void) !symlink("../out", link);
      (void) rename(real, aside);
      (void) rename(link, real);
      (void) unlink(real);
      (void) rename(aside, real);
    }
  }
  for (int i = 0; i < 150; i++) {
    (void) run(NULL, "read", "--root", "in", "in/d/secret", NULL);
    ck_assert_ptr_null(strstr(out.ptr, "outside"));
    (void) run("x", "write", "--root", "in", "in/d/w", NULL);
    ck_assert_int_ne(access(at("out/w"), F_OK), 0);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}
END_TEST

int main(int argc, char **argv)
{
  (void) snprintf(program, sizeof(program), "%s", argc > 1 ? argv[1] : "");
  if (argc < 2) {
    const char *slash = strrchr(argv[0], '/');
    /* libtool's wrapper runs the test from .libs; the tools have none. */
    size_t n = slash ? (size_t) (slash - argv[0]) : 1;
    (void) snprintf(program, sizeof(program), "%.*s/magent-tools", (int) n, slash ? argv[0] : ".");
    if (access(program, X_OK) < 0)
      (void) snprintf(program, sizeof(program), "%.*s/../magent-tools", (int) n, slash ? argv[0] : ".");
  }
  char *whole = realpath(program, NULL);
  if (!whole) {
    (void) fprintf(stderr, "no program %s\n", program);
    return 1;
  }
  (void) snprintf(program, sizeof(program), "%s", whole);
  free(whole);
  signal(SIGPIPE, SIG_IGN);
  TCase *all = tcase_create("tools");
  tcase_add_checked_fixture(all, setup, teardown);
  tcase_set_timeout(all, 60);
  tcase_add_test(all, read_shows_a_file_and_ranges_of_lines);
  tcase_add_test(all, read_takes_regular_text_files_only);
  tcase_add_test(all, read_shows_bytes_that_are_no_text_as_replacement);
  tcase_add_test(all, read_cuts_a_large_file_at_a_line_and_says_how_to_go_on);
  tcase_add_test(all, write_makes_files_and_directories_for_the_owner_only);
  tcase_add_test(all, write_keeps_the_mode_and_follows_a_link_to_its_file);
  tcase_add_test(all, write_refuses_what_is_no_file_and_half_an_input);
  tcase_add_test(all, edit_replaces_the_one_place);
  tcase_add_test(all, edit_wants_a_unique_place_unless_told_otherwise);
  tcase_add_test(all, blocks_are_read_exactly);
  tcase_add_test(all, glob_lists_the_newest_first);
  tcase_add_test(all, glob_refuses_to_leave_and_bad_patterns);
  tcase_add_test(all, glob_shows_at_most_200);
  tcase_add_test(all, patterns_mean_what_shells_mean);
  tcase_add_test(all, grep_shows_path_line_and_text);
  tcase_add_test(all, grep_bounds_lines_output_and_patterns);
  tcase_add_test(all, a_root_holds_whatever_links_and_dots_say);
  tcase_add_test(all, a_link_swapped_in_while_a_tool_runs_lets_nobody_out);
  Suite *suite = suite_create("tools");
  suite_add_tcase(suite, all);
  return run_suite(suite);
}
