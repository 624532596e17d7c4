/* The loader against a zoo of broken modules: each is refused with a message that names the fault, and a good plugin
 * beside it still loads. */
#include "../lib/run.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "loader_test.h"
#include "loader/file.h"
#include "loader/inspect.h"
#include "loader/registry.h"

#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct zoo zoo;

static void setup(void)
{
  ck_assert_int_eq(zoo_open(&zoo), 0);
  ck_assert_int_eq(unsetenv("MAGENT_PLUGIN_PATH"), 0);
}

static void teardown(void)
{
  zoo_close(&zoo);
}

/* A registry of ROOT/given by hand (NULL: none) and ROOT/installed. */
static struct mag_registry *registry(const char *given, const char *installed)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_registry *r = NULL;
  const char *dirs[] = {given, NULL};
  ck_assert_msg(mag_registry_new(dirs, installed, &r, &err) == 0, "%s", err.message);
  return r;
}

static void loads(struct mag_registry *r, const char *name)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin = NULL;
  ck_assert_msg(mag_registry_find(r, MBP_KIND_LLM, name, &plugin, &err) == 0, "%s", err.message);
  ck_assert_str_eq(plugin->descriptor.name, name);
  const struct mbp_llm_ops *ops = plugin->descriptor.ops;
  ck_assert(ops->generate && !ops->list_models);
}

static void fails(struct mag_registry *r, const char *name, int code, const char *fragment)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin = NULL;
  int result = mag_registry_find(r, MBP_KIND_LLM, name, &plugin, &err);
  ck_assert_msg(result == -code && plugin == NULL, "%s: %d: %s", name, result, err.message);
  ck_assert_msg(strstr(err.message, fragment) != NULL, "\"%s\" is not in \"%s\"", fragment, err.message);
}

static bool reported(struct mag_registry *r, const char *fragment, bool notice)
{
  struct mag_report report;
  for (size_t i = 0; mag_registry_report(r, i, &report); i++)
    if (strstr(report.message, fragment) && report.notice == notice)
      return true;
  return false;
}

/* A broken plugin in a trusted directory, beside a good one. */
static void refused(const char *name, int code, const char *fragment)
{
  char file[64];
  (void) snprintf(file, sizeof(file), "magent-llm-%s.so", name);
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  fails(r, name, code, fragment);
  fails(r, name, code, file); /* the file is named; and asking again gives the same answer */
  ck_assert(reported(r, fragment, false));
  loads(r, "good");
  mag_registry_free(r);
}

static void module_refused(const char *name, int code, const char *fragment)
{
  char file[64];
  (void) snprintf(file, sizeof(file), "magent-llm-%s.so", name);
  (void) zoo_add(&zoo, name, "given", file);
  refused(name, code, fragment);
}

/* ---- What a module says of itself ------------------------------------------------------------------------------- */

START_TEST(a_module_without_the_symbol_is_refused)
{
  module_refused("symbol", MBP_E_INVALID, "symbol: found nothing, expected mbp_plugin_v0");
}
END_TEST

START_TEST(a_module_of_another_major_symbol_is_refused)
{
  module_refused("entry", MBP_E_UNSUPPORTED, "symbol: found mbp_plugin_v1, expected mbp_plugin_v0");
}
END_TEST

START_TEST(a_module_that_returns_null_is_refused)
{
  module_refused("null", MBP_E_INVALID, "mbp_plugin_v0(): found NULL, expected a descriptor");
}
END_TEST

START_TEST(a_size_that_cannot_be_is_refused)
{
  char least[64];
  (void) snprintf(least, sizeof(least), "size: found 8, expected %u to 4096", MBP_SIZE(struct mbp_plugin, close));
  module_refused("small", MBP_E_INVALID, least);
  module_refused("absurd", MBP_E_INVALID, "size: found 1048576, expected");
}
END_TEST

START_TEST(a_bigger_struct_of_a_newer_interface_loads)
{
  (void) zoo_add(&zoo, "bigger", "given", "magent-llm-bigger.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  const struct mag_plugin *plugin = NULL;
  loads(r, "bigger");
  ck_assert_int_eq(mag_registry_find(r, MBP_KIND_LLM, "bigger", &plugin, NULL), 0);
  ck_assert_uint_gt(plugin->declared_size, sizeof(plugin->descriptor));
  mag_registry_free(r);
}
END_TEST

START_TEST(a_future_major_is_refused)
{
  module_refused("major", MBP_E_UNSUPPORTED, "abi_major: found 7, expected 0");
}
END_TEST

START_TEST(an_unknown_need_is_refused)
{
  module_refused("needs", MBP_E_UNSUPPORTED, "needs: found unknown bits 0x10, expected only 0x0");
}
END_TEST

/* Behaviour 128. */
START_TEST(a_missing_required_operation_is_refused)
{
  (void) zoo_add(&zoo, "operation", "given", "magent-llm-good.so"); /* its name is "good" */
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  fails(r, "good", MBP_E_INVALID, "required operation generate: found nothing, expected a function");
  mag_registry_free(r);
}
END_TEST

START_TEST(an_unknown_kind_is_skipped_with_a_notice)
{
  (void) zoo_add(&zoo, "kind", "given", "magent-llm-kind.so");
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  (void) zoo_add(&zoo, "good", "given", "magent-future-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  fails(r, "kind", MBP_E_UNSUPPORTED, "kind: found 99, expected compute, toolset, llm or store: skipped");
  ck_assert(reported(r, "kind: found 99", true));
  ck_assert(reported(r, "skipped: this magent has no plugins of kind 'future'", true));
  loads(r, "good");
  mag_registry_free(r);
}
END_TEST

START_TEST(an_empty_license_is_refused)
{
  module_refused("license", MBP_E_INVALID, "license: found an empty string, expected an SPDX identifier");
}
END_TEST

START_TEST(a_bad_name_is_refused)
{
  module_refused("name", MBP_E_INVALID, "name: found Bad_Name, expected [a-z0-9][a-z0-9-]*");
}
END_TEST

START_TEST(a_file_name_that_does_not_fit_is_refused)
{
  (void) zoo_add(&zoo, "good", "given", "magent-llm-misnamed.so");
  refused("misnamed", MBP_E_INVALID, "file name: found magent-llm-misnamed.so, expected magent-llm-good.so");
  (void) zoo_add(&zoo, "good", "given", "magent-store-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin = NULL;
  ck_assert_int_eq(mag_registry_find(r, MBP_KIND_STORE, "good", &plugin, &err), -MBP_E_INVALID);
  ck_assert_ptr_nonnull(strstr(err.message, "file name: found magent-store-good.so, expected magent-llm-good.so"));
  mag_registry_free(r);
}
END_TEST

START_TEST(a_bad_parameter_table_is_refused)
{
  module_refused("params", MBP_E_INVALID, "parameter timeout: default: found soon, expected a duration such as 30s");
}
END_TEST

/* ---- What can be seen without running it ------------------------------------------------------------------------ */

START_TEST(junk_is_not_an_elf_file)
{
  (void) zoo_write(&zoo, "given", "magent-llm-junk.so", "Hello, I am no plugin.\n", 23);
  refused("junk", MBP_E_INVALID, "not an ELF file: first bytes: found 48 65 6c 6c, expected 7f 45 4c 46");
  (void) zoo_write(&zoo, "given", "magent-llm-empty.so", "", 0);
  refused("empty", MBP_E_INVALID, "not an ELF file: it is empty");
  (void) zoo_directory(&zoo, "given/magent-llm-folder.so");
  refused("folder", MBP_E_INVALID, "type: found a directory, expected a regular file");
  ck_assert_int_eq(mkfifo(zoo_path(&zoo, "given", "magent-llm-pipe.so"), 0600), 0);
  refused("pipe", MBP_E_INVALID, "type: found a pipe, expected a regular file");
}
END_TEST

START_TEST(junk_names_are_told_or_left_alone)
{
  (void) zoo_write(&zoo, "given", "README", "x", 1);
  (void) zoo_write(&zoo, "given", "magent-llm-good.la", "x", 1);
  (void) zoo_write(&zoo, "given", "magent-llm-good.so.dbg", "x", 1);
  (void) zoo_write(&zoo, "given", "libfoo.so", "x", 1);
  (void) zoo_write(&zoo, "given", "magent-llm-Upper.so", "x", 1);
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "none", ""));
  struct mag_report report;
  ck_assert(reported(r, "file name: found libfoo.so, expected magent-KIND-NAME.so", false));
  ck_assert(reported(r, "file name: found magent-llm-Upper.so", false));
  ck_assert(!mag_registry_report(r, 2, &report));
  fails(r, "good", MBP_E_NOT_FOUND, "no llm plugin 'good'; searched: ");
  mag_registry_free(r);
}
END_TEST

START_TEST(a_truncated_elf_file_is_refused)
{
  struct stat st;
  const char *path = zoo_add(&zoo, "good", "given", "magent-llm-half.so");
  ck_assert(stat(path, &st) == 0 && truncate(path, st.st_size / 2) == 0);
  refused("half", MBP_E_INVALID, "the file is truncated");
  ck_assert_int_eq(truncate(path, 20), 0);
  refused("half", MBP_E_INVALID, "size: found 20 bytes, expected at least");
  /* Every length up to the headers' end: never a crash, always refused. */
  for (off_t n = 2000; n > 0; n -= 7) {
    mag_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, n), 0);
    ck_assert_int_lt(mag_file_check_elf(fd, path, NULL), 0);
  }
}
END_TEST

static void patch(const char *path, off_t at, unsigned char byte)
{
  mag_autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
  ck_assert(fd >= 0 && pwrite(fd, &byte, 1, at) == 1);
}

START_TEST(another_architecture_is_refused)
{
  const char *path = zoo_add(&zoo, "good", "given", "magent-llm-arch.so");
#ifdef __s390x__
  patch(path, 18 + 1, EM_X86_64);
#else
  patch(path, 18, EM_S390);
#endif
  refused("arch", MBP_E_INVALID, "wrong architecture: found ");
  path = zoo_add(&zoo, "good", "given", "magent-llm-class.so");
  patch(path, EI_CLASS, sizeof(void *) == 8 ? ELFCLASS32 : ELFCLASS64);
  refused("class", MBP_E_INVALID, "wrong architecture: ELF class: found ");
  path = zoo_add(&zoo, "good", "given", "magent-llm-object.so");
  patch(path, 16, ET_REL);
  refused("object", MBP_E_INVALID, "ELF type: found an object file (.o), expected a plugin: a shared object (.so)");
}
END_TEST

START_TEST(a_program_is_no_plugin)
{
  struct stat st;
  mag_autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ck_assert(fd >= 0 && fstat(fd, &st) == 0);
  mag_autofree char *program = malloc((size_t) st.st_size);
  ck_assert_ptr_nonnull(program);
  ck_assert_int_eq(pread(fd, program, (size_t) st.st_size, 0), st.st_size);
  (void) zoo_write(&zoo, "given", "magent-llm-program.so", program, (size_t) st.st_size);
  refused("program", MBP_E_INVALID, "ELF type: found a program, expected a plugin: a shared object (.so)");
}
END_TEST

START_TEST(a_missing_dependency_is_named)
{
  module_refused("dependency", MBP_E_UNAVAILABLE, "missing dependency: libzoodependency.so");
}
END_TEST

START_TEST(an_unresolved_symbol_is_named)
{
  module_refused("unresolved", MBP_E_UNAVAILABLE, "unresolved symbol: undefined symbol: zoo_nobody_has_this");
}
END_TEST

START_TEST(a_link_is_followed_and_its_target_checked)
{
  const char *link = zoo_path(&zoo, "given", "magent-llm-link.so");
  (void) zoo_directory(&zoo, "given");
  ck_assert_int_eq(symlink("/nowhere/at-all.so", link), 0);
  refused("link", MBP_E_NOT_FOUND, "symbolic link to a file that does not exist");
  ck_assert_int_eq(unlink(link), 0);
  ck_assert_int_eq(symlink("/etc/passwd", link), 0);
  refused("link", MBP_E_INVALID, "not an ELF file");

  /* In a directory that is checked, the target's own directory counts. */
  (void) zoo_directory(&zoo, "installed");
  const char *target = zoo_add(&zoo, "other", "elsewhere", "anything");
  ck_assert_int_eq(symlink(target, zoo_path(&zoo, "installed", "magent-llm-other.so")), 0);
  struct mag_registry *r = registry(NULL, zoo_path(&zoo, "installed", ""));
  loads(r, "other");
  mag_registry_free(r);
  ck_assert_int_eq(chmod(zoo_path(&zoo, "elsewhere", ""), 0777), 0);
  r = registry(NULL, zoo_path(&zoo, "installed", ""));
  fails(r, "other", MBP_E_PERMISSION, "elsewhere: mode: found 0777, expected not writable by group or others");
  mag_registry_free(r);
}
END_TEST

/* ---- Owner and mode --------------------------------------------------------------------------------------------- */

START_TEST(a_file_that_others_can_write_is_refused)
{
  const char *path = zoo_add(&zoo, "other", "installed", "magent-llm-other.so");
  (void) zoo_add(&zoo, "good", "installed", "magent-llm-good.so");
  static const mode_t modes[] = {0664, 0646};
  for (size_t i = 0; i < MAG_COUNT(modes); i++) {
    ck_assert_int_eq(chmod(path, modes[i]), 0);
    struct mag_registry *r = registry(NULL, zoo_path(&zoo, "installed", ""));
    fails(r, "other", MBP_E_PERMISSION, i ? "mode: found 0646, expected not writable by group or others"
                                          : "mode: found 0664, expected not writable by group or others");
    loads(r, "good");
    mag_registry_free(r);
  }
  /* Given by hand, it is the user's own business. */
  struct mag_registry *r = registry(zoo_path(&zoo, "installed", ""), zoo_path(&zoo, "none", ""));
  loads(r, "other");
  mag_registry_free(r);
}
END_TEST

START_TEST(a_directory_that_others_can_write_is_not_searched)
{
  (void) zoo_directory(&zoo, "top");
  (void) zoo_directory(&zoo, "top/installed");
  (void) zoo_add(&zoo, "good", "top/installed", "magent-llm-good.so");
  static const struct {
    const char *directory, *fragment;
    mode_t mode;
  } cases[] = {
      {"top/installed", "top/installed: mode: found 0775, expected not writable", 0775},
      {"top/installed", "top/installed: mode: found 1777, expected not writable", 01777},
      {"top", "top: mode: found 0777, expected not writable", 0777},
  };
  for (size_t i = 0; i < MAG_COUNT(cases); i++) {
    ck_assert_int_eq(chmod(zoo_path(&zoo, cases[i].directory, ""), cases[i].mode), 0);
    struct mag_registry *r = registry(NULL, zoo_path(&zoo, "top/installed", ""));
    fails(r, "good", MBP_E_NOT_FOUND, "no llm plugin 'good'");
    ck_assert_msg(reported(r, cases[i].fragment, false), "%s", cases[i].fragment);
    mag_registry_free(r);
    ck_assert_int_eq(chmod(zoo_path(&zoo, cases[i].directory, ""), 0755), 0);
  }
  /* Below a sticky directory such as /tmp nobody can exchange what is ours. */
  ck_assert_int_eq(chmod(zoo_path(&zoo, "top", ""), 01777), 0);
  struct mag_registry *r = registry(NULL, zoo_path(&zoo, "top/installed", ""));
  loads(r, "good");
  mag_registry_free(r);
}
END_TEST

START_TEST(a_file_of_another_owner_is_refused)
{
  (void) zoo_add(&zoo, "good", "installed", "magent-llm-good.so");
  const char *path = zoo_add(&zoo, "other", "installed", "magent-llm-other.so");
  if (chown(path, 12345, (gid_t) -1) < 0) { /* an ordinary user, or root of a user namespace with one user */
    (void) fprintf(stderr, "loader_test: SKIPPED files of other owners: we may not give files away\n");
    return;
  }
  struct mag_registry *r = registry(NULL, zoo_path(&zoo, "installed", ""));
  fails(r, "other", MBP_E_PERMISSION, "magent-llm-other.so: owner: found uid 12345, expected root");
  loads(r, "good");
  mag_registry_free(r);
  ck_assert_int_eq(chown(zoo_path(&zoo, "installed", ""), 12345, (gid_t) -1), 0);
  r = registry(NULL, zoo_path(&zoo, "installed", ""));
  ck_assert(reported(r, "installed: owner: found uid 12345", false));
  fails(r, "good", MBP_E_NOT_FOUND, "no llm plugin 'good'");
  mag_registry_free(r);
}
END_TEST

/* ---- Names and directories -------------------------------------------------------------------------------------- */

static const char *path_of(struct mag_registry *r, const char *name)
{
  const struct mag_plugin *plugin = NULL;
  ck_assert_int_eq(mag_registry_find(r, MBP_KIND_LLM, name, &plugin, NULL), 0);
  return plugin->path;
}

START_TEST(the_environment_cannot_shadow_an_installed_name)
{
  (void) zoo_add(&zoo, "good", "installed", "magent-llm-good.so");
  (void) zoo_add(&zoo, "good", "added", "magent-llm-good.so");
  (void) zoo_add(&zoo, "other", "added", "magent-llm-other.so");
  char list[2 * PATH_MAX];
  (void) snprintf(list, sizeof(list), "relative:%s", zoo_path(&zoo, "added", ""));
  ck_assert_int_eq(setenv("MAGENT_PLUGIN_PATH", list, 1), 0);
  struct mag_registry *r = registry(NULL, zoo_path(&zoo, "installed", ""));
  ck_assert_ptr_nonnull(strstr(path_of(r, "good"), "/installed/"));
  ck_assert_ptr_nonnull(strstr(path_of(r, "other"), "/added/"));
  ck_assert(reported(r, "added/magent-llm-good.so: not used: llm 'good' is already there as ", false));
  ck_assert(reported(r, "relative: not searched", false));
  mag_registry_free(r);
}
END_TEST

START_TEST(a_directory_given_by_hand_comes_first)
{
  (void) zoo_add(&zoo, "good", "installed", "magent-llm-good.so");
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), zoo_path(&zoo, "installed", ""));
  ck_assert_ptr_nonnull(strstr(path_of(r, "good"), "/given/"));
  ck_assert(reported(r, "installed/magent-llm-good.so: not used: llm 'good' is already there as ", false));
  mag_registry_free(r);
}
END_TEST

START_TEST(a_duplicate_name_is_told_and_the_same_file_is_not)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_report report;
  struct mag_registry *r = NULL;
  (void) zoo_add(&zoo, "good", "one", "magent-llm-good.so");
  (void) zoo_add(&zoo, "good", "two", "magent-llm-good.so");
  ck_assert_int_eq(symlink("one", zoo_path(&zoo, "same", "")), 0);
  const char *dirs[] = {zoo_path(&zoo, "one", ""), zoo_path(&zoo, "same", ""), zoo_path(&zoo, "two", ""), NULL};
  ck_assert_int_eq(mag_registry_new(dirs, "/nowhere", &r, &err), 0);
  ck_assert_ptr_nonnull(strstr(path_of(r, "good"), "/one/"));
  ck_assert(reported(r, "two/magent-llm-good.so: not used", false));
  ck_assert(!mag_registry_report(r, 1, &report));
  mag_registry_free(r);
}
END_TEST

START_TEST(a_directory_given_by_hand_must_exist)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_registry *r = NULL;
  const char *dirs[] = {"/nowhere/at/all", NULL};
  ck_assert_int_eq(mag_registry_new(dirs, NULL, &r, &err), -MBP_E_NOT_FOUND);
  ck_assert_str_eq(err.message, "plugin directory: /nowhere/at/all: No such file or directory");
}
END_TEST

/* Behaviours 25, 115. */
START_TEST(an_unknown_name_gets_the_nearest_and_the_directories)
{
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), "/nowhere");
  fails(r, "goood", MBP_E_NOT_FOUND, "no llm plugin 'goood'; did you mean 'good'? There are good; searched: ");
  fails(r, "goood", MBP_E_NOT_FOUND, "/given, /nowhere");
  mag_registry_free(r);
}
END_TEST

static int collect(void *ctx, const struct mag_candidate *candidate)
{
  size_t n = strlen(ctx);
  (void) snprintf((char *) ctx + n, 256 - n, "%s-%s ", mag_kind_name(candidate->kind), candidate->name);
  return 0;
}

START_TEST(candidates_come_in_the_order_of_names)
{
  static const char *const files[] = {"magent-llm-zebra.so", "magent-store-ant.so", "magent-llm-ant.so",
                                      "magent-compute-local.so"};
  char all[256] = "";
  for (size_t i = 0; i < MAG_COUNT(files); i++)
    (void) zoo_write(&zoo, "given", files[i], "x", 1);
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), "/nowhere");
  ck_assert_int_eq(mag_registry_each(r, collect, all), 0);
  ck_assert_str_eq(all, "compute-local llm-ant llm-zebra store-ant ");
  mag_registry_free(r);
}
END_TEST

static void model(struct mag_registry *r, const char *name, const char *plugin_name, const char *bare)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin = NULL;
  const char *ret_bare = NULL;
  ck_assert_msg(mag_registry_find_model(r, name, &plugin, &ret_bare, &err) == 0, "%s", err.message);
  ck_assert_str_eq(plugin->descriptor.name, plugin_name);
  ck_assert_str_eq(ret_bare, bare);
}

static void no_model(struct mag_registry *r, const char *name, int code, const char *fragment)
{
  struct mbp_error err = MAG_ERROR_INIT;
  const struct mag_plugin *plugin = NULL;
  const char *ret_bare = NULL;
  ck_assert_int_eq(mag_registry_find_model(r, name, &plugin, &ret_bare, &err), -code);
  ck_assert_msg(strstr(err.message, fragment) != NULL && !plugin, "\"%s\" is not in \"%s\"", fragment, err.message);
}

START_TEST(models_are_found_by_provider_or_pattern)
{
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  (void) zoo_add(&zoo, "other", "given", "magent-llm-other.so");
  (void) zoo_write(&zoo, "given", "magent-llm-junk.so", "x", 1);
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), "/nowhere");
  model(r, "zoo-1", "good", "zoo-1");
  model(r, "other-1", "other", "other-1");
  model(r, "other/zoo-1", "other", "zoo-1");
  model(r, "other/meta/llama", "other", "meta/llama");
  model(r, "zoo-/y", "good", "zoo-/y"); /* a slash of its own */
  no_model(r, "zoo-x1", MBP_E_INVALID, "the model 'zoo-x1' is ambiguous: say good/zoo-x1 or other/zoo-x1");
  no_model(r, "gpt-9", MBP_E_NOT_FOUND, "there are: good/NAME (zoo-*), other/NAME (zoo-x* other-1)");
  no_model(r, "gpt-9", MBP_E_NOT_FOUND, "plugins that cannot be used were skipped");
  no_model(r, "other/", MBP_E_NOT_FOUND, "no plugin answers to the model 'other/'");
  no_model(r, "junk/x", MBP_E_INVALID, "not an ELF file");
  mag_registry_free(r);
}
END_TEST

static void *find_good(void *ctx)
{
  const struct mag_plugin *plugin = NULL;
  (void) mag_registry_find(ctx, MBP_KIND_LLM, "good", &plugin, NULL);
  return (void *) plugin;
}

START_TEST(threads_that_ask_at_once_get_the_same_plugin)
{
  pthread_t threads[8];
  (void) zoo_add(&zoo, "good", "given", "magent-llm-good.so");
  struct mag_registry *r = registry(zoo_path(&zoo, "given", ""), "/nowhere");
  for (size_t i = 0; i < MAG_COUNT(threads); i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, find_good, r), 0);
  void *first = find_good(r);
  ck_assert_ptr_nonnull(first);
  for (size_t i = 0; i < MAG_COUNT(threads); i++) {
    void *plugin;
    ck_assert_int_eq(pthread_join(threads[i], &plugin), 0);
    ck_assert_ptr_eq(plugin, first);
  }
  mag_registry_free(r);
}
END_TEST

int main(int argc, char **argv)
{
  if (argc > 2 && strcmp(argv[1], "plugin") == 0) /* the child of the tests above */
    return mag_inspect_query(argc - 2, argv + 2);
  if (zoo_open(&zoo) < 0) {
    (void) fprintf(stderr, "no directory on this machine passes the loader's checks of owner and mode\n");
    return 77;
  }
  zoo_close(&zoo);
  Suite *suite = suite_create("loader");
  TCase *t = tcase_create("loader");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_module_without_the_symbol_is_refused);
  tcase_add_test(t, a_module_of_another_major_symbol_is_refused);
  tcase_add_test(t, a_module_that_returns_null_is_refused);
  tcase_add_test(t, a_size_that_cannot_be_is_refused);
  tcase_add_test(t, a_bigger_struct_of_a_newer_interface_loads);
  tcase_add_test(t, a_future_major_is_refused);
  tcase_add_test(t, an_unknown_need_is_refused);
  tcase_add_test(t, a_missing_required_operation_is_refused);
  tcase_add_test(t, an_unknown_kind_is_skipped_with_a_notice);
  tcase_add_test(t, an_empty_license_is_refused);
  tcase_add_test(t, a_bad_name_is_refused);
  tcase_add_test(t, a_file_name_that_does_not_fit_is_refused);
  tcase_add_test(t, a_bad_parameter_table_is_refused);
  tcase_add_test(t, junk_is_not_an_elf_file);
  tcase_add_test(t, junk_names_are_told_or_left_alone);
  tcase_add_test(t, a_truncated_elf_file_is_refused);
  tcase_add_test(t, another_architecture_is_refused);
  tcase_add_test(t, a_program_is_no_plugin);
  tcase_add_test(t, a_missing_dependency_is_named);
  tcase_add_test(t, an_unresolved_symbol_is_named);
  tcase_add_test(t, a_link_is_followed_and_its_target_checked);
  tcase_add_test(t, a_file_that_others_can_write_is_refused);
  tcase_add_test(t, a_directory_that_others_can_write_is_not_searched);
  tcase_add_test(t, a_file_of_another_owner_is_refused);
  tcase_add_test(t, the_environment_cannot_shadow_an_installed_name);
  tcase_add_test(t, a_directory_given_by_hand_comes_first);
  tcase_add_test(t, a_duplicate_name_is_told_and_the_same_file_is_not);
  tcase_add_test(t, a_directory_given_by_hand_must_exist);
  tcase_add_test(t, an_unknown_name_gets_the_nearest_and_the_directories);
  tcase_add_test(t, candidates_come_in_the_order_of_names);
  tcase_add_test(t, models_are_found_by_provider_or_pattern);
  tcase_add_test(t, threads_that_ask_at_once_get_the_same_plugin);
  loader_asking_tests(t);
  suite_add_tcase(suite, t);
  return run_suite(suite);
}
