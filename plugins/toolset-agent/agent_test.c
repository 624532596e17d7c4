/* The toolset over a provider of the tests' own, and over the real sandbox where it was built. Run from the top of the
 * build tree. With the argument "bench": medians of round trips instead. */
#include "../../tests/lib/run.h"
#include "agent/sandbox.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "fake_compute.h"
#include "host/services.h"
#include "loader/registry.h"
#include "plugins/toolset-agent/agent_test.h"

#include <check.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct mbp_plugin *agent_entry(void);

struct mag_instance *toolset;
static struct mag_instance *compute;
static struct mag_sandbox *sandbox;
static struct mag_registry *registry;
static char workspace[64], helper[PATH_MAX];
static bool real, has_helper;

/* ---- Set up ------------------------------------------------------------------------------------------------------ */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove(path);
}

static void open_toolset(const char *config)
{
  struct mbp_error err = MAG_ERROR_INIT;
  ck_assert_msg(mag_instance_open(agent_entry(), mbp_str(config), &toolset, &err) == 0, "%s", err.message);
}

static void open_sandbox(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_sandbox_options options = {.compute = compute, .session = mbp_str("sesn_test")};
  options.spec.size = MBP_SIZE(struct mbp_sandbox_spec, allowed_hosts);
  options.spec.network = MBP_NET_NONE;
  options.spec.workspace = mbp_str(workspace);
  ck_assert_int_eq(mag_sandbox_new(&options, &sandbox, &err), 0);
}

static bool find_program(const char *name)
{
  return realpath(name, helper) != NULL;
}

static void setup_fake(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_service_add(MBP_COMPUTE_V1, &mag_compute_table);
  memset(&fake_state, 0, sizeof(fake_state));
  real = false;
  has_helper = find_program("tests/unit/magent-tools");
  fake_state.helper = helper;
  workspace[0] = 0;
  ck_assert_int_eq(mag_instance_open(&fake_compute, mbp_str_n(NULL, 0), &compute, &err), 0);
  open_sandbox();
  open_toolset("{\"timeout\":\"20s\"}");
}

static const struct mag_plugin *find_real(struct mbp_error *err)
{
  static const char *const dirs[] = {"plugins-0", NULL};
  const struct mag_plugin *plugin = NULL;
  if (access("plugins-0", X_OK) < 0)
    mag_error(err, MBP_E_NOT_FOUND, "no directory plugins-0: not run from the top of the build tree");
  else if (registry || mag_registry_new(dirs, "/nonexistent", &registry, err) == 0)
    (void) mag_registry_find(registry, MBP_KIND_COMPUTE, "bubblewrap", &plugin, err);
  return plugin;
}

/* Built, and usable on this machine? */
static bool can_use_real(struct mbp_error *err)
{
  const struct mag_plugin *found = find_real(err);
  char config[PATH_MAX + 32];
  if (!found)
    return false;
  if (!find_program("sandbox/magent-sandbox"))
    return mag_error(err, MBP_E_NOT_FOUND, "no sandbox/magent-sandbox") == 0;
  (void) snprintf(config, sizeof(config), "{\"helper\":\"%s\"}", helper);
  struct mag_instance *instance = NULL;
  if (mag_instance_open(&found->descriptor, mbp_str(config), &instance, err) < 0)
    return false;
  struct mag_call_options options = {.timeout_ms = 10000};
  const struct mbp_plugin *descriptor = mag_instance_descriptor(instance);
  int r = descriptor->probe ? MAG_RUN(instance, &options, err, descriptor->probe(plugin, call, err)) : 0;
  mag_instance_close(instance);
  return r == 0;
}

static void setup_real(void)
{
  struct mbp_error err = MAG_ERROR_INIT;
  char config[PATH_MAX + 32];
  mag_service_add(MBP_COMPUTE_V1, &mag_compute_table);
  real = has_helper = true;
  ck_assert(find_program("sandbox/magent-sandbox"));
  (void) snprintf(workspace, sizeof(workspace), "/tmp/magent-ws-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(workspace));
  (void) snprintf(config, sizeof(config), "{\"helper\":\"%s\"}", helper);
  ck_assert_msg(mag_instance_open(&find_real(&err)->descriptor, mbp_str(config), &compute, &err) == 0, "%s",
                err.message);
  open_sandbox();
  open_toolset("{\"timeout\":\"20s\"}");
}

static void teardown(void)
{
  mag_instance_close(toolset); /* first: its shell is a stream of the sandbox */
  mag_sandbox_free(sandbox, false);
  mag_instance_close(compute);
  if (real)
    (void) nftw(workspace, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  else
    fake_lose_all();
}

/* ---- Calling ----------------------------------------------------------------------------------------------------- */

static int see(void *ctx, const struct mbp_event *event)
{
  struct answer *answer = ctx;
  if (event->type == MBP_EV_TOOL_OUTPUT)
    mag_buf_add_str(&answer->shown, event->data);
  if (answer->cancel_on_output)
    mag_call_cancel(answer->cancel_on_output);
  return 0;
}

static int take(void *ctx, const void *result, struct mbp_error *err)
{
  struct answer *answer = ctx;
  const struct mbp_tool_result *tool = result;
  mag_autojson json = NULL;
  answer->is_error = tool->is_error;
  if (mag_json_parse(tool->content, &json, err) < 0)
    return -1;
  mag_buf_add_str(&answer->text, mag_json_str(mag_json_get(mag_json_first(json), "text")));
  return 0;
}

void invoke(struct answer *answer, const char *tool, struct mbp_str input, bool cancel)
{
  const struct mbp_toolset_ops *ops = mag_instance_ops(toolset);
  struct mag_call_options scope_options = {.session = mbp_str("sesn_test")};
  struct mbp_call *scope = mag_call_new_scope(&scope_options);
  mag_call_set_scope(scope, sandbox);
  mag_buf_clear(&answer->text);
  mag_buf_clear(&answer->shown);
  mag_error_clear(&answer->err);
  answer->cancel_on_output = cancel ? scope : NULL;
  struct mag_call_options options = {.parent = scope, .sink = see, .on_result = take, .ctx = answer};
  answer->r = MAG_RUN(toolset, &options, &answer->err, ops->invoke(plugin, call, mbp_str(tool), input, &answer->err));
  mag_buf_reserve(&answer->text, 1);
  answer->text.ptr[answer->text.len] = 0;
  mag_call_unref(scope);
}

struct answer said;

/* bash with a command (and more JSON members, or ""). */
static const char *bash(const char *command, const char *more)
{
  struct mbp_writer *writer = mag_writer_new();
  mag_writer_string(writer, NULL, mbp_str(command));
  struct mbp_str text;
  ck_assert_int_eq(mag_writer_text(writer, &text), 0);
  mag_autobuf input = MAG_BUF_INIT;
  mag_buf_add_text(&input, "{\"command\":");
  mag_buf_add_str(&input, text);
  mag_buf_printf(&input, "%s}", more);
  invoke(&said, "bash", mag_buf_str(&input), false);
  mag_writer_free(writer);
  ck_assert_msg(said.r == 0, "%s", said.err.message);
  return said.text.ptr;
}

static const char *tool(const char *name, const char *input)
{
  invoke(&said, name, mbp_str(input), false);
  ck_assert_msg(said.r == 0, "%s", said.err.message);
  return said.text.ptr;
}

static void bash_says(const char *command, const char *wanted, bool is_error)
{
  ck_assert_str_eq(bash(command, ""), wanted);
  ck_assert_int_eq(said.is_error, is_error);
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

START_TEST(the_shell_keeps_its_state)
{
  bash_says("echo hi", "hi", false);
  ck_assert_str_eq(said.shown.ptr, "hi\n");
  bash_says("x=1; cd /; f() { echo \"f $1\"; }", "(no output)", false);
  bash_says("echo $x; pwd; f a", "1\n/\nf a", false);
  bash_says("printf 'no newline'", "no newline", false);
  bash_says("echo out; echo err >&2; echo out", "out\nerr\nout", false);
}
END_TEST

START_TEST(a_failed_command_ends_with_its_exit_code)
{
  bash_says("false", "exit 1", true);
  bash_says("echo x; (exit 42)", "x\nexit 42", true);
  bash_says("no_such_command_here 2>/dev/null", "exit 127", true);
  bash_says("true", "(no output)", false);
  bash("sh -c 'kill -9 $$'", "");
  HAS(said.text.ptr, "\nexit 137");
}
END_TEST

START_TEST(no_text_of_a_command_can_break_the_shell)
{
  bash("echo 'unbalanced", "");
  ck_assert(said.is_error);
  bash("if true; then", "");
  ck_assert(said.is_error);
  bash_says("cat <<'EOF'\nit's \"a\" $heredoc\nEOF", "it's \"a\" $heredoc", false);
  bash("cat <<EOF\nnever ended", "");
  HAS(said.text.ptr, "never ended");
  bash_says("echo a # comment", "a", false);
  bash_says("echo a\\", "a", false);
  bash_says("cat", "(no output)", false);
  bash_says("read x; echo \"[$x]\"", "[]", false);
  bash_says("echo \"'\" '\"' \\' ';' '&'", "' \" ' ; &", false);
  bash_says("printf '\\036%s 0\\036' 00000000000000000000000000000000; echo after",
            "00000000000000000000000000000000 0after", false);
  bash_says("", "(no output)", false);
  bash("set -x; echo traced; set +x", "");
  HAS(said.text.ptr, "+ echo traced\n");
  bash("set -x", "");
  bash("echo x", "");
  HAS_NOT(said.text.ptr, "printf");
  bash("set +x", "");
  bash_says("exec 2>/dev/null; ls /nonexistent", "exit 2", true);
}
END_TEST

START_TEST(a_shell_that_redirects_itself_still_ends_its_commands)
{
  bash_says("exec >/dev/null", "(no output)", false);
  bash_says("echo gone", "(no output)", false);
  ck_assert_str_eq(tool("bash", "{\"restart\":true}"), "bash session restarted");
  bash_says("echo back", "back", false);
}
END_TEST

START_TEST(a_shell_that_ends_is_told_and_replaced)
{
  bash("x=1; echo bye; exit 3", "");
  HAS(said.text.ptr, "bye\nexit 3\n[the shell has ended; the next command starts a new one");
  ck_assert(said.is_error);
  bash_says("echo \"[$x]\"", "[]", false);
  bash("exec echo replaced", "");
  HAS(said.text.ptr, "replaced\n[the shell has ended");
  ck_assert(!said.is_error);
  bash("set -e; false; echo not reached", "");
  HAS(said.text.ptr, "exit 1\n[the shell has ended");
  bash_says("echo again", "again", false);
}
END_TEST

START_TEST(restart_gives_a_new_shell)
{
  bash_says("x=1", "(no output)", false);
  ck_assert_str_eq(tool("bash", "{\"restart\":true}"), "bash session restarted");
  ck_assert(!said.is_error);
  bash_says("echo \"[$x]\"", "[]", false);
  ck_assert_str_eq(bash("echo \"[$x]\"", ",\"restart\":true"), "[]");
}
END_TEST

START_TEST(a_timeout_returns_what_there_was_and_kills_all)
{
  int64_t from = mag_clock_monotonic_ms();
  bash("echo before; sleep 300; echo after", ",\"timeout_ms\":200");
  ck_assert(mag_clock_monotonic_ms() - from < 3000);
  HAS(said.text.ptr, "before\n");
  HAS(said.text.ptr, "[timed out after 200 ms");
  ck_assert(said.is_error);
  bash("echo new", "");
  HAS(said.text.ptr, "[this is a new shell, because the last command timed out");
  HAS(said.text.ptr, "\nnew");
  bash("trap '' TERM; echo deaf; while :; do :; done", ",\"timeout_ms\":100");
  HAS(said.text.ptr, "deaf\n[timed out");
  bash("yes", ",\"timeout_ms\":150");
  HAS(said.text.ptr, "[timed out");
  HAS(said.text.ptr, "y\ny\n");
  ck_assert_uint_lt(said.text.len, 60000);
}
END_TEST

/* It does not end when it is asked to, and the shell that started it does. */
START_TEST(a_timeout_kills_also_what_the_shell_leaves_behind)
{
  bash("(trap '' TERM; exec sleep 98.7654) & sleep 300", ",\"timeout_ms\":500");
  HAS(said.text.ptr, "[timed out after 500 ms");
  bash("for i in $(seq 200); do grep -qsa '98[.]7654' /proc/[0-9]*/cmdline || { echo gone; break; }; sleep 0.05; done",
       "");
  HAS(said.text.ptr, "\ngone");
}
END_TEST

START_TEST(a_background_child_that_keeps_the_pipe_holds_nobody)
{
  int64_t from = mag_clock_monotonic_ms();
  bash_says("sleep 300 & echo started", "started", false);
  bash_says("echo next", "next", false);
  ck_assert(mag_clock_monotonic_ms() - from < 2000);
  bash("(sleep 0.05; echo late) & echo now", "");
  HAS(said.text.ptr, "now");
  usleep(150000);
  bash("echo then", "");
  HAS(said.text.ptr, "late\nthen");
  bash_says("kill %1; wait %1 2>/dev/null", "exit 143", true);
}
END_TEST

START_TEST(a_cancelled_command_gives_what_there_was)
{
  int64_t from = mag_clock_monotonic_ms();
  invoke(&said, "bash", mbp_str("{\"command\":\"echo first; sleep 300\"}"), true);
  ck_assert_msg(said.r == 0, "%s", said.err.message);
  ck_assert(mag_clock_monotonic_ms() - from < 3000);
  ck_assert(said.is_error);
  ck_assert_str_eq(said.text.ptr, "first\n[cancelled: the command and the shell were stopped]");
  bash("echo new", "");
  HAS(said.text.ptr, "because the last command was cancelled");
}
END_TEST

START_TEST(long_commands_and_other_text_pass)
{
  mag_autobuf command = MAG_BUF_INIT;
  mag_buf_add_text(&command, "x='");
  for (int i = 0; i < 100000; i++)
    mag_buf_add_text(&command, "0123456789");
  mag_buf_add_text(&command, "'; echo ${#x}");
  ck_assert_str_eq(bash(command.ptr, ""), "1000000");
  bash_says("echo '\xc3\xa4\xe2\x82\xac'", "\xc3\xa4\xe2\x82\xac", false);
  bash_says("printf '\\377x'", "\xef\xbf\xbdx", false);
  bash_says("printf '\\033[31mred\\033[0m \\033]0;title\\007end\\0\\b'", "red end", false);
  bash_says("printf '10%%\\r20%%\\r\\n'", "10%\n20%", false);
}
END_TEST

START_TEST(a_long_output_goes_to_a_file_in_the_sandbox)
{
  bash("seq 100000", "");
  HAS(said.text.ptr, "[588895 bytes of output, shortened in the middle; all of it is in /");
  HAS(said.text.ptr, "output-1.txt]\n1\n2\n3\n");
  HAS(said.text.ptr, "bytes left out ...]");
  ck_assert_str_eq(said.text.ptr + said.text.len - 13, "\n99999\n100000");
  ck_assert_uint_lt(said.text.len, 60000);
  char path[256] = "", command[600];
  const char *at = strstr(said.text.ptr, "is in /") + 6;
  memcpy(path, at, strcspn(at, "]"));
  (void) snprintf(command, sizeof(command), "seq 100000 | cmp - %s && stat -c %%a %s", path, path);
  bash_says(command, "600", false);
  if (has_helper) {
    (void) snprintf(command, sizeof(command), "{\"file_path\":\"%s\",\"view_range\":[50000,50001]}", path);
    ck_assert_str_eq(tool("read", command), "50000\n50001\n");
  }
  bash("head -c 20000000 /dev/zero | tr '\\0' 'z'; exit 4", "");
  HAS(said.text.ptr, "[20000000 bytes of output, shortened in the middle; its first 16777216 bytes are in /");
  HAS(said.text.ptr, "zzz\nexit 4\n[the shell has ended");
}
END_TEST

START_TEST(bash_checks_its_input)
{
  HAS(tool("bash", "{}"), "command is missing");
  ck_assert(said.is_error);
  HAS(tool("bash", "{\"comand\":\"ls\"}"), "unknown property \"comand\"; did you mean \"command\"?");
  HAS(tool("bash", "{\"command\":1}"), "command must be a string");
  HAS(tool("bash", "{\"command\":\"ls\",\"restart\":\"yes\"}"), "restart must be true or false");
  HAS(tool("bash", "{\"command\":\"ls\",\"timeout_ms\":1.5}"), "timeout_ms must be a whole number");
  HAS(tool("bash", "{\"command\":\"ls\",\"timeout_ms\":99999999999}"), "timeout_ms must be from 1 to 1800000");
  HAS(tool("bash", "{\"command\":\"ls\",\"timeout_ms\":0}"), "timeout_ms must be from 1");
  HAS(tool("bash", "[]"), "must be an object");
  HAS(tool("bash", "{"), "not valid JSON");
  ck_assert_str_eq(tool("bash", "{\"command\":\"echo x\",\"restart\":null,\"timeout_ms\":5000}"), "x");
}
END_TEST

START_TEST(a_lost_sandbox_is_told_and_replaced)
{
  bash_says("echo one", "one", false);
  mag_sandbox_drop(sandbox);
  bash("echo two", "");
  HAS(said.text.ptr, "[the earlier shell is gone");
  HAS(said.text.ptr, "\ntwo");
  if (real)
    return;
  fake_lose_all(); /* while idle, and behind the host's back */
  usleep(200000);
  bash("echo three", "");
  HAS(said.text.ptr, "[the earlier shell is gone");
  HAS(said.text.ptr, "\nthree");
}
END_TEST

START_TEST(without_bash_there_is_sh)
{
  fake_state.no_bash = true;
  bash("echo hi", "");
  ck_assert_str_eq(said.text.ptr, "[there is no /bin/bash here: commands run in /bin/sh]\nhi");
  bash_says("x=2; (exit 5)", "exit 5", true);
  bash_says("echo $x", "2", false);
  bash_says("cat", "(no output)", false);
}
END_TEST

/* ---- File tools -------------------------------------------------------------------------------------------------- */

START_TEST(files_are_written_read_changed_and_found)
{
  if (!has_helper) {
    fputs("SKIPPED: no tests/unit/magent-tools: file tools are not tested\n", stderr);
    return;
  }
  ck_assert_str_eq(tool("write", "{\"file_path\":\"src/a.py\",\"content\":\"print('hi')\\nprint('ho')\\n\"}"),
                   "wrote 24 bytes to src/a.py\n");
  ck_assert(!said.is_error);
  ck_assert_str_eq(tool("read", "{\"file_path\":\"src/a.py\"}"), "print('hi')\nprint('ho')\n");
  ck_assert_str_eq(tool("read", "{\"file_path\":\"src/a.py\",\"view_range\":[2,-1]}"), "print('ho')\n");
  ck_assert_str_eq(tool("edit", "{\"file_path\":\"src/a.py\",\"old_string\":\"'hi'\",\"new_string\":\"5\\n\"}"),
                   "edited src/a.py (1 replacement)\n");
  ck_assert_str_eq(
      tool("edit", "{\"file_path\":\"src/a.py\",\"old_string\":\"print\",\"new_string\":\"p\",\"replace_all\":true}"),
      "edited src/a.py (2 replacements)\n");
  bash_says("cat src/a.py", "p(5\n)\np('ho')", false);
  ck_assert_str_eq(tool("glob", "{\"pattern\":\"**/*.py\"}"), "src/a.py\n");
  ck_assert_str_eq(tool("glob", "{\"pattern\":\"*\",\"path\":\"src\"}"), "src/a.py\n");
  ck_assert_str_eq(tool("grep", "{\"pattern\":\"^p\\\\(\"}"), "src/a.py:1:p(5\nsrc/a.py:3:p('ho')\n");
  ck_assert_str_eq(tool("grep", "{\"pattern\":\"zzz\",\"path\":\"src\"}"), "no matches\n");
  ck_assert_str_eq(tool("write", "{\"file_path\":\"e\",\"content\":\"\"}"), "wrote 0 bytes to e\n");
  ck_assert_str_eq(tool("read", "{\"file_path\":\"e\"}"), "(the file is empty)");
  ck_assert_str_eq(tool("write", "{\"file_path\":\"-rf\",\"content\":\"x\"}"), "wrote 1 byte to -rf\n");
  ck_assert_str_eq(tool("read", "{\"file_path\":\"-rf\"}"), "x");
}
END_TEST

START_TEST(file_tools_fail_with_a_line_for_the_model)
{
  if (!has_helper)
    return;
  ck_assert_str_eq(tool("read", "{\"file_path\":\"none\"}"), "none does not exist");
  ck_assert(said.is_error);
  ck_assert_str_eq(tool("edit", "{\"file_path\":\"none\",\"old_string\":\"a\",\"new_string\":\"b\"}"),
                   "none does not exist");
  HAS(tool("read", "{}"), "read: file_path is missing");
  HAS(tool("read", "{\"file_path\":\"a\",\"view_range\":[1]}"), "view_range must be an array of two whole numbers");
  HAS(tool("read", "{\"path\":\"a\"}"), "unknown property \"path\"");
  HAS(tool("write", "{\"file_path\":\"a\"}"), "write: content is missing");
  HAS(tool("write", "{\"file_path\":\"/\",\"content\":\"\"}"), "/ names a directory");
  HAS(tool("grep", "{\"pattern\":\"(\"}"), "no valid regular expression");
  HAS(tool("glob", "{\"pattern\":\"../*\"}"), "must not hold");
  if (!real) {
    HAS(tool("read", "{\"file_path\":\"/etc/passwd\"}"), "outside of the directories");
    HAS(tool("write", "{\"file_path\":\"/tmp/out\",\"content\":\"\"}"), "outside of the directories");
  }
  mag_autobuf input = MAG_BUF_INIT;
  mag_buf_add_text(&input, "{\"file_path\":\"");
  for (int i = 0; i < 5000; i++)
    mag_buf_add_char(&input, 'a');
  mag_buf_add_text(&input, "\"}");
  HAS(tool("read", input.ptr), "the path is too long");
}
END_TEST

/* Behaviours 101, 102, 116. */
START_TEST(large_files_pass_whole)
{
  if (!has_helper)
    return;
  mag_autobuf input = MAG_BUF_INIT;
  mag_buf_add_text(&input, "{\"file_path\":\"big\",\"content\":\"");
  for (int i = 0; i < 300000; i++)
    mag_buf_add_text(&input, "0123456789");
  mag_buf_add_text(&input, "\"}");
  ck_assert_str_eq(tool("write", input.ptr), "wrote 3000000 bytes to big\n");
  bash_says("wc -c <big", "3000000", false);
}
END_TEST

/* ---- Bench ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
  int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
  return x < y ? -1 : x > y;
}

static void measure(const char *what, const char *name, const char *input)
{
  enum { n = 300 };
  static int64_t times[n];
  for (int i = 0; i < n; i++) {
    int64_t from = mag_clock_monotonic_ns();
    invoke(&said, name, mbp_str(input), false);
    times[i] = mag_clock_monotonic_ns() - from;
  }
  qsort(times, n, sizeof(times[0]), by_value);
  printf("%-28s median %6.3f ms, p99 %6.3f ms%s\n", what, (double) times[n / 2] / 1e6,
         (double) times[n * 99 / 100] / 1e6, said.r || said.is_error ? " FAILED" : "");
}

START_TEST(bench)
{
  const char *provider = real ? "bubblewrap" : "fake";
  bash("true", "");
  char what[64];
  (void) snprintf(what, sizeof(what), "%s: bash echo hi", provider);
  measure(what, "bash", "{\"command\":\"echo hi\"}");
  if (has_helper) {
    (void) tool("write", "{\"file_path\":\"f\",\"content\":\"some text\\n\"}");
    (void) snprintf(what, sizeof(what), "%s: read", provider);
    measure(what, "read", "{\"file_path\":\"f\"}");
    (void) snprintf(what, sizeof(what), "%s: write", provider);
    measure(what, "write", "{\"file_path\":\"f\",\"content\":\"some text\\n\"}");
    (void) snprintf(what, sizeof(what), "%s: grep", provider);
    measure(what, "grep", "{\"pattern\":\"some\"}");
  }
  fflush(stdout);
}
END_TEST

static void add_common(TCase *tests)
{
  tcase_add_test(tests, the_shell_keeps_its_state);
  tcase_add_test(tests, a_failed_command_ends_with_its_exit_code);
  tcase_add_test(tests, no_text_of_a_command_can_break_the_shell);
  tcase_add_test(tests, a_shell_that_redirects_itself_still_ends_its_commands);
  tcase_add_test(tests, a_shell_that_ends_is_told_and_replaced);
  tcase_add_test(tests, restart_gives_a_new_shell);
  tcase_add_test(tests, a_timeout_returns_what_there_was_and_kills_all);
  tcase_add_test(tests, a_timeout_kills_also_what_the_shell_leaves_behind);
  tcase_add_test(tests, a_background_child_that_keeps_the_pipe_holds_nobody);
  tcase_add_test(tests, a_cancelled_command_gives_what_there_was);
  tcase_add_test(tests, long_commands_and_other_text_pass);
  tcase_add_test(tests, a_long_output_goes_to_a_file_in_the_sandbox);
  tcase_add_test(tests, a_lost_sandbox_is_told_and_replaced);
  tcase_add_test(tests, files_are_written_read_changed_and_found);
  tcase_add_test(tests, file_tools_fail_with_a_line_for_the_model);
  tcase_add_test(tests, large_files_pass_whole);
}

static void add_tests(TCase *fake, TCase *own)
{
  add_common(fake);
  add_common(own);
  tcase_add_test(fake, bash_checks_its_input);
  tcase_add_test(fake, without_bash_there_is_sh);
  agent_config_tests(fake);
  agent_output_tests(fake);
}

int main(int argc, char **argv)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const bool with_real = can_use_real(&err);
  signal(SIGPIPE, SIG_IGN);
  if (!with_real)
    fprintf(stderr, "SKIPPED: the real sandbox is not tested: %s\n", err.message);
  Suite *suite = suite_create("toolset-agent");
  TCase *fake = tcase_create("fake"), *own = tcase_create("bubblewrap");
  tcase_add_checked_fixture(fake, setup_fake, teardown);
  tcase_add_checked_fixture(own, setup_real, teardown);
  tcase_set_timeout(fake, 60);
  tcase_set_timeout(own, 60);
  if (argc > 1 && strcmp(argv[1], "bench") == 0) {
    tcase_add_test(fake, bench);
    tcase_add_test(own, bench);
  } else
    add_tests(fake, own);
  suite_add_tcase(suite, fake);
  if (with_real)
    suite_add_tcase(suite, own);
  int failed = run_suite(suite);
  mag_registry_free(registry);
  return failed;
}
