#include "embed_rig.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *place_path(const struct place *place, const char *name)
{
  static _Thread_local char paths[8][PATH_MAX];
  static _Thread_local unsigned turn;
  char *path = paths[turn++ % 8];
  (void) snprintf(path, PATH_MAX, "%s/%s", place->dir, name);
  return path;
}

void file_write(const char *path, const void *data, size_t len)
{
  FILE *file = fopen(path, "we");
  ck_assert_msg(file != NULL, "%s", path);
  ck_assert_uint_eq(fwrite(data, 1, len, file), len);
  ck_assert_int_eq(fclose(file), 0);
}

char *file_read(const char *path, size_t *ret_len)
{
  FILE *file = fopen(path, "re");
  struct stat st;
  if (!file)
    return NULL;
  ck_assert_int_eq(fstat(fileno(file), &st), 0);
  char *data = calloc(1, (size_t) st.st_size + 1);
  ck_assert_ptr_nonnull(data);
  size_t len = fread(data, 1, (size_t) st.st_size, file);
  (void) fclose(file);
  if (ret_len)
    *ret_len = len;
  return data;
}

static bool has_bubblewrap(void)
{
  static int known = -1;
  if (known < 0) {
    pid_t pid = access("plugins-0/magent-compute-bubblewrap.so", R_OK) == 0 ? fork() : -1;
    int status = -1;
    if (pid == 0) {
      execl("/usr/bin/env", "env", "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true", (char *) NULL);
      _exit(127);
    }
    known = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    if (!known)
      (void) fputs("SKIPPED: no bubblewrap sandbox on this machine: tests of it are left out\n", stderr);
  }
  return known;
}

const char *const *computes(void)
{
  static const char *found[3] = {"local"};
  found[1] = has_bubblewrap() ? "bubblewrap" : NULL;
  return found;
}

void place_script(struct place *place, const char *script)
{
  if (script)
    file_write(place_path(place, "script.json"), script, strlen(script));
  (void) (script ? setenv("MAGENT_SCRIPT", place_path(place, "script.json"), 1) : unsetenv("MAGENT_SCRIPT"));
}

struct magent *place_open(struct place *place)
{
  char plugins[PATH_MAX];
  struct magent *magent = NULL;
  struct magent_error error;
  (void) place;
  ck_assert_msg(realpath("plugins-0", plugins) != NULL, "tests run in the build directory: no plugins-0 here");
  const char *const dirs[] = {plugins, NULL};
  struct magent_options options = {.size = sizeof(options), .plugin_dirs = dirs};
  expect(magent_open(&options, &magent, &error), 0, error);
  return magent;
}

void place_begin(struct place *place, const char *script)
{
  static const char defaults[] = "{\"models\":[{\"model\":\"scripted/scripted\"}],\"system\":\"You are a test.\","
                                 "\"tools\":[{\"type\":\"agent_toolset_20260401\"}],\"compute\":\"local\"}";
  char helpers[PATH_MAX];
  memset(place, 0, sizeof(*place));
  (void) snprintf(place->dir, sizeof(place->dir), "/tmp/magent-embed-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(place->dir));
  file_write(place_path(place, "defaults.json"), defaults, strlen(defaults));
  (void) setenv("XDG_STATE_HOME", place->dir, 1);
  (void) setenv("XDG_CONFIG_HOME", place->dir, 1);
  (void) setenv("MAGENT_CONF_DIR", place->dir, 1);
  if (realpath("sandbox", helpers))
    (void) setenv("MAGENT_LIBEXEC_DIR", helpers, 1);
  place_script(place, script);
  place->magent = place_open(place);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
  (void) st;
  (void) type;
  (void) where;
  return remove(path);
}

void place_end(struct place *place)
{
  magent_close(place->magent);
  (void) nftw(place->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Another process -------------------------------------------------------------------------------------------- */

struct other other_start(const char *argument, ...)
{
  const char *arguments[32] = {"magent", "--plugin-dir", "plugins-0"};
  struct other other;
  int ends[2];
  va_list list;
  va_start(list, argument);
  for (size_t n = 3; n < 31 && argument; argument = va_arg(list, const char *))
    arguments[n++] = argument;
  va_end(list);
  ck_assert_int_eq(pipe(ends), 0);
  other.pid = fork();
  ck_assert_int_ge(other.pid, 0);
  if (other.pid == 0) {
    (void) dup2(ends[1], STDOUT_FILENO);
    (void) close(ends[0]);
    (void) close(ends[1]);
    execv("magent", (char **) (uintptr_t) arguments);
    _exit(127);
  }
  (void) close(ends[1]);
  other.out = ends[0];
  return other;
}

const char *other_await(struct other *other, const char *text)
{
  static char seen[65536];
  size_t len = 0;
  seen[0] = 0;
  while (!strstr(seen, text)) {
    ssize_t n = read(other->out, seen + len, sizeof(seen) - 1 - len);
    ck_assert_msg(n > 0, "no \"%s\" in \"%s\"", text, seen);
    len += (size_t) n;
    seen[len] = 0;
  }
  return seen;
}

int other_end(struct other *other)
{
  char rest[4096];
  int status = -1;
  while (read(other->out, rest, sizeof(rest)) > 0)
    ;
  (void) close(other->out);
  ck_assert_int_eq(waitpid(other->pid, &status, 0), other->pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- Agents ------------------------------------------------------------------------------------------------------ */

struct magent_agent *agent_of(struct place *place, const char *yaml)
{
  struct magent_agent *agent = NULL;
  struct magent_error error;
  struct magent_config *config = magent_config_new();
  if (yaml)
    expect(magent_config_parse(config, yaml, &error), 0, error);
  expect(magent_agent_new(place->magent, config, &agent, &error), 0, error);
  magent_config_free(config);
  return agent;
}
