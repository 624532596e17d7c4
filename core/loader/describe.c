#include "loader/inspect.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "host/config.h"
#include "loader/file.h"
#include "loader/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void string(struct mbp_writer *writer, const char *key, const char *text)
{
  if (text)
    mag_writer_string(writer, key, mbp_str(text));
}

static void list(struct mbp_writer *writer, const char *key, const char *const *texts)
{
  if (!texts)
    return;
  mag_writer_array(writer, key);
  for (; *texts; texts++)
    mag_writer_string(writer, NULL, mbp_str(*texts));
  mag_writer_end(writer);
}

static void describe_param(const struct mbp_param *p, struct mbp_writer *writer)
{
  mag_writer_object(writer, NULL);
  string(writer, "name", p->name);
  string(writer, "type", mag_param_type_name(p->type));
  string(writer, "default", p->default_value);
  if (p->min || p->max) {
    mag_writer_number(writer, "min", p->min);
    mag_writer_number(writer, "max", p->max);
  }
  if (p->type == MBP_PARAM_CHOICE)
    list(writer, "choices", p->choices);
  string(writer, "env", p->env);
  mag_writer_boolean(writer, "required", (p->flags & MBP_PARAM_REQUIRED) != 0);
  mag_writer_boolean(writer, "repeatable", (p->flags & MBP_PARAM_REPEATABLE) != 0);
  mag_writer_boolean(writer, "deprecated", (p->flags & MBP_PARAM_DEPRECATED) != 0);
  mag_writer_boolean(writer, "secret", p->type == MBP_PARAM_SECRET);
  string(writer, "help", p->help);
  mag_writer_end(writer);
}

struct bit {
  uint64_t bit;
  const char *name;
};

static void bits(struct mbp_writer *writer, const char *key, uint64_t value, const struct bit *names)
{
  mag_writer_array(writer, key);
  for (; names->name; names++)
    if (value & names->bit)
      string(writer, NULL, names->name);
  mag_writer_end(writer);
}

static const struct bit compute_caps[] = {
    {MBP_CAP_ASYNC, "async"},
    {MBP_CAP_COMPUTE_OUTLIVES, "outlives"},
    {MBP_CAP_COMPUTE_REATTACH, "reattach"},
    {MBP_CAP_COMPUTE_WORKSPACE, "workspace"},
    {MBP_CAP_COMPUTE_SUSPEND, "suspend"},
    {MBP_CAP_COMPUTE_SNAPSHOT, "snapshot"},
    {MBP_CAP_COMPUTE_PTY, "pty"},
    {MBP_CAP_COMPUTE_KILL_TREE, "kill_tree"},
    {MBP_CAP_COMPUTE_STDERR, "stderr"},
    {MBP_CAP_COMPUTE_IMAGE, "image"},
    {0, NULL},
};
static const struct bit llm_caps[] = {
    {MBP_CAP_ASYNC, "async"},
    {MBP_CAP_LLM_IMAGES, "images"},
    {MBP_CAP_LLM_RESULT_IMAGES, "result_images"},
    {MBP_CAP_LLM_OFFLINE, "offline"},
    {0, NULL},
};
static const struct bit common_caps[] = {{MBP_CAP_ASYNC, "async"}, {0, NULL}};
static const struct bit networks[] = {
    {MBP_NET_NONE, "none"},         {MBP_NET_LIMITED, "limited"}, {MBP_NET_UNRESTRICTED, "unrestricted"},
    {MBP_NET_HOST, "host"},         {MBP_NET_PROVIDER, "provider"}, {0, NULL},
};
static const struct bit packages[] = {
    {MBP_PKG_APT, "apt"}, {MBP_PKG_CARGO, "cargo"}, {MBP_PKG_GEM, "gem"}, {MBP_PKG_GO, "go"},
    {MBP_PKG_NPM, "npm"}, {MBP_PKG_PIP, "pip"},     {0, NULL},
};

static void describe_kind(const struct mag_plugin *plugin, struct mbp_writer *writer)
{
  static const char *const isolation[] = {"none", "namespace", "container", "vm"};
  const struct mbp_plugin *d = &plugin->descriptor;
  switch (d->kind) {
  case MBP_KIND_COMPUTE:
    bits(writer, "caps", d->caps, compute_caps);
    bits(writer, "networks", plugin->info.compute.networks, networks);
    bits(writer, "packages", plugin->info.compute.packages, packages);
    string(writer, "isolation",
           plugin->info.compute.isolation < 4 ? isolation[plugin->info.compute.isolation] : "unknown");
    break;
  case MBP_KIND_LLM:
    bits(writer, "caps", d->caps, llm_caps);
    list(writer, "models", plugin->info.llm.models);
    break;
  case MBP_KIND_TOOLSET:
    bits(writer, "caps", d->caps, common_caps);
    string(writer, "type", plugin->info.toolset.type);
    break;
  default:
    bits(writer, "caps", d->caps, common_caps);
    break;
  }
}

void mag_plugin_describe(const struct mag_plugin *plugin, struct mbp_writer *writer)
{
  const struct mbp_plugin *d = &plugin->descriptor;
  char abi[32];
  (void) snprintf(abi, sizeof(abi), "%u.%u", d->abi_major, d->abi_minor);
  string(writer, "file", plugin->path);
  string(writer, "kind", mag_kind_name(d->kind));
  string(writer, "name", d->name);
  string(writer, "version", d->version);
  string(writer, "license", d->license);
  string(writer, "origin", d->origin);
  string(writer, "summary", d->summary);
  string(writer, "help", d->help);
  string(writer, "abi", abi);
  mag_writer_number(writer, "kind_version", d->kind_version);
  mag_writer_number(writer, "size", plugin->declared_size);
  mag_writer_number(writer, "ops_size", plugin->declared_ops_size);
  string(writer, "threads", mag_threads_name(d->threads));
  describe_kind(plugin, writer);
  mag_writer_boolean(writer, "probe", d->probe != NULL);
  mag_writer_array(writer, "params");
  for (size_t i = 0; i < plugin->n_params; i++)
    describe_param(&plugin->params[i], writer);
  mag_writer_end(writer);
}

/* ---- The child ------------------------------------------------------------------------------------------------ */

/* A crash must be seen as one, leave no core file, and not outlive the asker. */
static void prepare(void)
{
  static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  const struct rlimit no_core = {0, 0};
  for (size_t i = 0; i < MAG_COUNT(crashes); i++)
    (void) signal(crashes[i], SIG_DFL); /* sanitizers catch some */
  (void) setrlimit(RLIMIT_CORE, &no_core);
  (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int print(int fd, const char *text)
{
  size_t n = strlen(text);
  while (n > 0) {
    ssize_t done = write(fd, text, n);
    if (done < 0 && errno != EINTR)
      return 1;
    if (done > 0) {
      text += done;
      n -= (size_t) done;
    }
  }
  return 0;
}

int mag_inspect_query(int argc, char **argv)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_plugin *plugin = NULL;
  if (argc != 3)
    return 2;
  prepare();
  /* What a plugin prints is not an answer. */
  mag_autoclose int answer = fcntl(1, F_DUPFD_CLOEXEC, 3);
  mag_autoclose int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (answer < 0 || nowhere < 0 || dup2(nowhere, 1) < 0)
    return 1;
  int r = mag_plugin_open(argv[2], strcmp(argv[1], "given") == 0 ? MAG_TRUST_GIVEN : MAG_TRUST_CHECKED, &plugin, &err);
  mag_autowriter writer = mag_writer_new();
  mag_writer_object(writer, NULL);
  if (r == 0) {
    mag_plugin_describe(plugin, writer);
  } else {
    string(writer, "problem", err.message);
    string(writer, "code", mag_error_name(err.code));
    mag_writer_boolean(writer, "notice", r > 0);
  }
  mag_writer_end(writer);
  mag_plugin_free(plugin);
  mag_autofree char *text = mag_writer_take(writer);
  return text ? print(answer, text) : 1;
}
