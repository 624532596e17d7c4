#include "command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PATIENCE_MS 30000

static struct {
  char dir[64];
  char *env[64];
  size_t n_env;
  const char *directory; /* where runs start; NULL: where the test is */
} place;

void command_directory(const char *path)
{
  place.directory = path;
}

const char *command_path(const char *name)
{
  static char paths[8][PATH_MAX];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  (void) snprintf(path, PATH_MAX, "%s/%s", place.dir, name);
  return path;
}

void command_write_file(const char *name, const char *text)
{
  FILE *file = fopen(command_path(name), "we");
  ck_assert_ptr_nonnull(file);
  ck_assert(fputs(text, file) >= 0);
  ck_assert_int_eq(fclose(file), 0);
}

char *command_read_file(const char *name)
{
  struct mag_buf text = MAG_BUF_INIT;
  char chunk[4096];
  size_t n;
  FILE *file = fopen(command_path(name), "re");
  while (file && (n = fread(chunk, 1, sizeof(chunk), file)) > 0)
    mag_buf_add(&text, chunk, n);
  if (file)
    (void) fclose(file);
  char *taken = mag_buf_take(&text);
  return taken ? taken : mag_str_dup(mbp_str(""));
}

void command_env(const char *assignment)
{
  size_t len = strcspn(assignment, "="), at = 0;
  while (at < place.n_env && !(strncmp(place.env[at], assignment, len) == 0 && place.env[at][len] == '='))
    at++;
  if (at < place.n_env) {
    free(place.env[at]);
    place.env[at] = place.env[--place.n_env];
    place.env[place.n_env] = NULL;
  }
  if (!assignment[len])
    return;
  ck_assert_uint_lt(place.n_env + 1, MAG_COUNT(place.env));
  place.env[place.n_env++] = mag_str_dup(mbp_str(assignment));
}

static void env_path(const char *name, const char *path)
{
  mag_autofree char *assignment = mag_sprintf("%s=%s", name, path);
  command_env(assignment);
}

void command_script(const char *json)
{
  command_write_file("script.json", json);
  env_path("MAGENT_SCRIPT", command_path("script.json"));
}

void command_begin(void)
{
  static const char *const passed[] = {"PATH",         "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                       "TSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"};
  char cwd[PATH_MAX - 64];
  ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
  memcpy(place.dir, "/tmp/magent-command-XXXXXX", sizeof("/tmp/magent-command-XXXXXX"));
  ck_assert_ptr_nonnull(mkdtemp(place.dir));
  for (size_t i = 0; i < MAG_COUNT(passed); i++)
    if (secure_getenv(passed[i]))
      env_path(passed[i], secure_getenv(passed[i]));
  ck_assert_int_eq(mkdir(command_path("work"), 0700), 0);
  ck_assert_int_eq(mkdir(command_path("conf"), 0700), 0);
  ck_assert_int_eq(mkdir(command_path("home"), 0700), 0);
  command_write_file("conf/defaults.json",
                     "{\"models\":[{\"model\":\"scripted/x\"}],\"system\":\"You are a test.\","
                     "\"tools\":[{\"type\":\"agent_toolset_20260401\"}],\"compute\":\"bubblewrap\"}");
  env_path("HOME", command_path("home"));
  env_path("XDG_STATE_HOME", command_path("state"));
  env_path("XDG_CACHE_HOME", command_path("cache"));
  env_path("MAGENT_CONF_DIR", command_path("conf"));
  mag_autofree char *libexec = mag_sprintf("%s/sandbox", cwd);
  env_path("MAGENT_LIBEXEC_DIR", libexec);
  command_env("TERM=xterm");
  command_env("LC_ALL=C.UTF-8");
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *entry)
{
  (void) st;
  (void) type;
  (void) entry;
  return remove(path);
}

void command_end(void)
{
  place.directory = NULL;
  while (place.n_env)
    free(place.env[--place.n_env]);
  memset(place.env, 0, sizeof(place.env));
  (void) nftw(place.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Running
 * ------------------------------------------------------------------------------------------------------- */

static char **split_words(const char *line)
{
  char **words = calloc(64, sizeof(*words));
  size_t n = 0;
  ck_assert_ptr_nonnull(words);
  words[n++] = mag_str_dup(mbp_str("magent"));
  if (strncmp(line, "--plugin-dir", 12) != 0) {
    words[n++] = mag_str_dup(mbp_str("--plugin-dir"));
    words[n++] = realpath("plugins-0", NULL);
    ck_assert_ptr_nonnull(words[n - 1]);
  }
  while (*(line += strspn(line, " "))) {
    size_t len = *line == '\'' ? strcspn(++line, "'") : strcspn(line, " ");
    ck_assert_uint_lt(n, 62);
    words[n++] = mag_str_dup(mbp_str_n(line, len));
    line += len;
    line += *line == '\'';
  }
  return words;
}

static int ignored;

void command_ignores(int signal_number)
{
  ignored = signal_number;
}

static void run_child(char **words)
{
  char program[PATH_MAX];
  for (int signal_number = 1; signal_number < 32; signal_number++)
    (void) signal(signal_number, signal_number == ignored ? SIG_IGN : SIG_DFL);
  if (realpath("magent", program) && (!place.directory || chdir(place.directory) == 0))
    (void) execve(program, words, place.env);
  _exit(127);
}

static bool without_streams;

void command_without_streams(bool without)
{
  without_streams = without;
}

struct command command_start(const char *line, bool terminal)
{
  struct command command = {.in = -1, .out = -1, .err = -1};
  int in[2], out[2], err[2];
  char **words = split_words(line);
  (void) signal(SIGPIPE, SIG_IGN);
  if (terminal) {
    command.pid = forkpty(&command.out, NULL, NULL, NULL);
    if (command.pid == 0)
      run_child(words);
  } else {
    ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    command.pid = fork();
    if (command.pid == 0) {
      (void) dup2(in[0], 0);
      (void) dup2(out[1], 1);
      (void) dup2(err[1], 2);
      if (without_streams) {
        (void) close(0);
        (void) close(1);
      }
      run_child(words);
    }
    (void) close(in[0]);
    (void) close(out[1]);
    (void) close(err[1]);
    command.in = in[1];
    command.out = out[0];
    command.err = err[0];
  }
  ck_assert_int_gt(command.pid, 0);
  for (char **word = words; *word; word++)
    free(*word);
  free(words);
  return command;
}

static void take(int *fd, struct mag_buf *text)
{
  char chunk[8192];
  ssize_t n = read(*fd, chunk, sizeof(chunk));
  if (n > 0) {
    mag_buf_add(text, chunk, (size_t) n);
  } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
    (void) close(*fd);
    *fd = -1;
  }
}

static bool came(const struct command *command, const char *text)
{
  return (command->stdout_text.len && strstr(command->stdout_text.ptr, text)) ||
         (command->stderr_text.len && strstr(command->stderr_text.ptr, text));
}

/* Until `text` has come (NULL: until both streams have ended). */
static void collect(struct command *command, const char *text)
{
  int64_t until = mag_clock_monotonic_ms() + PATIENCE_MS;
  while ((command->out >= 0 || command->err >= 0) && !(text && came(command, text))) {
    struct pollfd fds[2] = {{command->out, POLLIN, 0}, {command->err, POLLIN, 0}};
    int64_t left = until - mag_clock_monotonic_ms();
    if (left <= 0) {
      (void) kill(command->pid, SIGKILL);
      ck_abort_msg("magent does not end: \"%s\" \"%s\"", command->stdout_text.len ? command->stdout_text.ptr : "",
                   command->stderr_text.len ? command->stderr_text.ptr : "");
    }
    (void) poll(fds, 2, (int) left);
    if (fds[0].revents)
      take(&command->out, &command->stdout_text);
    if (fds[1].revents)
      take(&command->err, &command->stderr_text);
  }
}

void command_await(struct command *command, const char *text)
{
  collect(command, text);
  ck_assert_msg(came(command, text), "\"%s\" did not come: \"%s\" \"%s\"", text,
                command->stdout_text.len ? command->stdout_text.ptr : "",
                command->stderr_text.len ? command->stderr_text.ptr : "");
}

void command_finish(struct command *command)
{
  int status = 0;
  if (command->in >= 0)
    (void) close(command->in);
  command->in = -1;
  collect(command, NULL);
  ck_assert_int_eq(waitpid(command->pid, &status, 0), command->pid);
  command->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  mag_buf_add_text(&command->stdout_text, ""); /* so that both are texts */
  (void) mag_buf_reserve(&command->stdout_text, 1);
  command->stdout_text.ptr[command->stdout_text.len] = 0;
  (void) mag_buf_reserve(&command->stderr_text, 1);
  command->stderr_text.ptr[command->stderr_text.len] = 0;
}

struct command command_run_with(const char *line, const char *stdin_text)
{
  struct command command = command_start(line, false);
  for (size_t at = 0, len = strlen(stdin_text); at < len;) {
    ssize_t n = write(command.in, stdin_text + at, len - at);
    if (n <= 0)
      break;
    at += (size_t) n;
  }
  command_finish(&command);
  return command;
}

struct command command_run(const char *line)
{
  return command_run_with(line, "");
}

void command_done(struct command *command)
{
  mag_buf_done(&command->stdout_text);
  mag_buf_done(&command->stderr_text);
}

const char *command_session(void)
{
  static char id[64];
  struct command command = command_run("session list --json");
  const char *found = strstr(command.stdout_text.ptr, "\"id\":\"");
  ck_assert_msg(found, "no session: %s%s", command.stdout_text.ptr, command.stderr_text.ptr);
  (void) snprintf(id, sizeof(id), "%.*s", (int) strcspn(found + 6, "\""), found + 6);
  command_done(&command);
  return id;
}
