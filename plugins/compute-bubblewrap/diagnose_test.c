/* Machines that make no sandboxes, each told apart with its own cure. */
#include "lib/run.h"
#include "plugins/compute-bubblewrap/bubblewrap.h"

#include <check.h>
#include <string.h>

/* What bubblewrap says where namespaces are refused. */
static const char *const refusals[] = {
    "bwrap: Creating new namespace failed: Operation not permitted",
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged",
    "bwrap: setting up uid map: Permission denied",
    "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
};

static const struct machine open_machine = {.apparmor_restricts = -1, .userns_clone = -1, .max_namespaces = 96350};

/* Static, until the next use. */
static const char *told(const struct machine *machine, const char *complaint)
{
  static struct mbp_error err;
  err = (struct mbp_error){.size = MBP_SIZE(struct mbp_error, message), .code = MBP_E_UNAVAILABLE};
  ck_assert_int_eq(diagnose(machine, "/usr/bin/bwrap", complaint, &err), -MBP_E_UNAVAILABLE);
  ck_assert_int_eq(err.code, MBP_E_UNAVAILABLE);
  return err.message;
}

static void cures(const struct machine *machine, const char *cure)
{
  for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
    const char *message = told(machine, refusals[i]);
    ck_assert_msg(strstr(message, cure), "\"%s\" is not in \"%s\"", cure, message);
    ck_assert_msg(strstr(message, refusals[i]), "%s", message); /* what was said stands there too */
  }
}

START_TEST(hosts_that_refuse_namespaces_are_told_apart)
{
  struct machine machine = open_machine;
  cures(&machine, "the kernel refuses to make namespaces");
  machine.max_namespaces = 0;
  cures(&machine, "`sysctl -w user.max_user_namespaces=10000`");
  machine.userns_clone = 0; /* Debian's own switch */
  cures(&machine, "`sysctl -w kernel.unprivileged_userns_clone=1`");
  machine = open_machine;
  machine.apparmor_restricts = 1; /* Ubuntu 24.04 */
  cures(&machine, "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`");
  machine = open_machine;
  machine.chroot = true;
  cures(&machine, "systemd-nspawn -D DIRECTORY");
}
END_TEST

START_TEST(a_container_is_told_from_the_host_whose_settings_it_shows)
{
  struct machine machine = open_machine;
  machine.container = machine.filtered = true; /* Docker's defaults */
  cures(&machine, "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined");
  machine.apparmor_restricts = 1; /* on Ubuntu 24.04 */
  cures(&machine, "`--security-opt seccomp=unconfined");
  machine.filtered = false; /* started as told: now the host's own switch is in the way */
  cures(&machine, "kernel.apparmor_restrict_unprivileged_userns=0");
  machine.apparmor_restricts = 0;
  cures(&machine, "`--security-opt seccomp=unconfined");
  machine.container = false;
  machine.filtered = true; /* one that has no file to know it by */
  cures(&machine, "`--security-opt seccomp=unconfined");
  ck_assert_ptr_nonnull(strstr(told(&open_machine, "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"),
                               "`--security-opt systempaths=unconfined`"));
}
END_TEST

START_TEST(what_is_used_up_is_not_taken_for_what_is_refused)
{
  struct machine machine = open_machine;
  machine.container = machine.filtered = true;
  const char *message = told(&machine, "bwrap: Creating new namespace failed: Resource temporarily unavailable");
  ck_assert_msg(strstr(message, "a limit of processes is reached; raise compute.pids, `ulimit -u`"), "%s", message);
  message = told(&machine, "bwrap: Creating new namespace failed: No space left on device");
  ck_assert_msg(strstr(message, "user.max_user_namespaces allows (96350)"), "%s", message);
  machine = open_machine;
  machine.max_namespaces = 0; /* the kernel says the same where there may be none at all */
  message = told(&machine, "bwrap: Creating new namespace failed: No space left on device");
  ck_assert_msg(strstr(message, "user namespaces are switched off"), "%s", message);
}
END_TEST

START_TEST(other_complaints_are_passed_on)
{
  ck_assert_ptr_nonnull(
      strstr(told(&open_machine, "bwrap: Unknown option --disable-userns"), "bubblewrap 0.8.0 or newer"));
  ck_assert_str_eq(told(&open_machine, "bwrap: Can't find source path /x: No such file or directory"),
                   "no sandbox can be made: bwrap: Can't find source path /x: No such file or directory");
  ck_assert_ptr_nonnull(strstr(told(&open_machine, ""), "/usr/bin/bwrap ended without a word"));
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message), .code = MBP_E_CANCELLED};
  ck_assert_int_eq(diagnose(&open_machine, "/usr/bin/bwrap", refusals[0], &err), -MBP_E_CANCELLED);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("diagnose");
  TCase *tests = tcase_create("diagnose");
  tcase_add_test(tests, hosts_that_refuse_namespaces_are_told_apart);
  tcase_add_test(tests, a_container_is_told_from_the_host_whose_settings_it_shows);
  tcase_add_test(tests, what_is_used_up_is_not_taken_for_what_is_refused);
  tcase_add_test(tests, other_complaints_are_passed_on);
  suite_add_tcase(suite, tests);
  return run_suite(suite);
}
