/* What a sandbox with walls must not let through, and what put and get must not leave. */
#include "cases.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs one attack inside; nothing of it may succeed. */
static void attack(struct rig *rig, const char *words)
{
  rig_bring_attack(rig, "a");
  mag_autofree char *script = mag_sprintf("exec ./attack %s", words);
  int code = rig_code(rig, "a", script);
  ck_assert_msg(code == 0, "attack %s: exit %d\n%s", words, code, rig_last_output);
}

START_TEST(other_files_and_processes_are_not_there)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  host_shell("mkdir '%s/other' && echo secret > '%s/other/file'", rig.work, rig.work);
  const char *home = getpwuid(0)->pw_dir;
  mag_autofree char *script = mag_sprintf("cat '%s/other/file' /etc/shadow %s/.bashrc; ls %s /home /boot /srv "
                                          "/var/log /sys '%s'; true",
                                          rig.work, home, home, rig.work);
  ck_assert_int_eq(rig_code(&rig, "a", script), 0);
  ck_assert(!strstr(rig_last_output, "secret") && !strstr(rig_last_output, "root:"));
  /* What is the host's own /usr there has nothing else of the host's beside it. */
  if (rig.info->isolation == MBP_ISOLATION_NAMESPACE)
    ck_assert_str_eq(rig_text(&rig, "a", "ls -d /root /home /boot /srv /sys /var/log 2>/dev/null | wc -l"), "0\n");
  /* init, the leader, sh, ls, wc */
  ck_assert_str_eq(rig_text(&rig, "a", "n=$(ls -d /proc/[0-9]* | wc -l); test $n -lt 8 && echo few"), "few\n");
  finish(&rig);
}
END_TEST

START_TEST(the_hosts_network_is_out_of_reach)
{
  struct rig rig;
  struct box_options options = {.network = MBP_NET_NONE};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  if (!begin_isolated(&rig, _i, &options))
    return;
  mag_autoclose int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
  ck_assert_int_eq(listen(listener, 5), 0);
  ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &len), 0);
  mag_autofree char *words = mag_sprintf("dial %d", ntohs(address.sin_port));
  attack(&rig, words);
  attack(&rig, "families");
  ck_assert_str_eq(rig_text(&rig, "a", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo\n");
  ck_assert_str_eq(rig_text(&rig, "a", "tail -n +2 /proc/net/route | wc -l"), "0\n");
  /* The same attack must be able to succeed, or it proves nothing. */
  struct box_options shared = {.network = MBP_NET_HOST};
  if (!(rig.info->networks & MBP_NET_HOST)) {
    finish(&rig);
    return;
  }
  rig_destroy(&rig, "a");
  rig_create(&rig, "a", &shared);
  mag_autofree char *again = mag_sprintf("./attack %s", words);
  ck_assert_int_eq(rig_code(&rig, "a", again), 1);
  finish(&rig);
}
END_TEST

/* A user's own directory; false where there are no walls around it, or the provider takes none. */
static bool begin_guarded(struct rig *rig, int i)
{
  struct box_options options = {.flags = MBP_WORKSPACE_GUARDED};
  rig_open(rig, &providers[i]);
  bool takes = rig->plugin->caps & MBP_CAP_COMPUTE_WORKSPACE;
  rig_close(rig);
  return takes && begin_isolated(rig, i, &options);
}

START_TEST(a_host_socket_in_a_bound_directory_is_out_of_reach)
{
  struct rig rig;
  if (!begin_guarded(&rig, _i))
    return;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/host.sock", rig.workspace);
  mag_autoclose int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
  ck_assert_int_eq(listen(listener, 5), 0);
  attack(&rig, "unix host.sock");
  ck_assert_str_eq(rig_last_output, ""); /* and a socketpair there is */
  finish(&rig);
}
END_TEST

static const char *const plantings[] = {
    "echo x > .git/hooks/pre-commit",
    "echo x > .git/config",
    "mv .git/hooks .git/h2",
    "rm -rf .git/hooks && mkdir .git/hooks",
    "mv .git .g2",
    "ln -sf ../x .git/hooks",
    "echo . > .git/commondir",
    "mkdir -p .git/modules/n",
    "echo x > .envrc",
    "mkdir -p .vscode/x",
    "mkdir -p .vscode && echo x > .vscode/tasks.json",
    "mkdir -p .idea/x",
    "mkdir -p .magent && echo x > .magent/agent.yaml",
    "git config -f .git/config core.fsmonitor ./x",
    "echo x > .git/config.worktree",
    "rm .git/config",
    "chmod 777 .git/hooks",
    "echo x > .profile",
    "mv .profile p2",
    "cp /bin/true .git/hooks/pre-commit",
    "touch -d 2001-01-01 .git/config",
    "echo 'exec ./x' >> .git/rebase-merge/git-rebase-todo",
    "mv .git/rebase-merge .git/r2",
    "echo /x > .git/worktrees/w/commondir",
    "rm .git/worktrees/w/gitdir",
    "echo x > .git/worktrees/w/config.worktree",
    "mv .git/worktrees/w .git/worktrees/w2",
    "mv .git/worktrees .git/w2",
    "echo x > sub/deep/.git/hooks/pre-commit",
    "echo x > sub/deep/.git/config",
    "mkdir sub/deep/.git/modules/x",
    "mv sub/deep/.git sub/deep/g",
    "mv sub/deep sub/d2",
    "mv sub s2",
    "rm mod/.git",
    "echo 'gitdir: ../x' > mod/.git",
    "mv mod m2",
};

static void make_repository(struct rig *rig)
{
  host_shell("cd '%s' && find . -mindepth 1 -delete && mkdir -p .git/hooks .git/objects .git/refs && "
             "echo 'ref: refs/heads/x' > .git/HEAD && echo '[core]' > .git/config && echo mine > .profile && "
             "mkdir -p .git/modules/m .git/rebase-merge .git/worktrees/w mod && cp -r .git/hooks .git/modules/m/ && "
             "echo pick > .git/rebase-merge/git-rebase-todo && echo ../.. > .git/worktrees/w/commondir && "
             "echo /elsewhere/.git > .git/worktrees/w/gitdir && echo 'gitdir: ../.git/modules/m' > mod/.git && "
             "mkdir -p sub/deep/.git/hooks sub/deep/.git/modules && echo 'ref: refs/heads/x' > sub/deep/.git/HEAD && "
             "echo '[core]' > sub/deep/.git/config",
             rig->workspace);
}

/* Without the guard each of them works: a misspelt one could not fail for the right reason. */
static void expect_plantings_without_guard(struct rig *rig)
{
  rig_create(rig, "plain", NULL);
  bool git = rig_code(rig, "plain", "command -v git") == 0;
  for (size_t i = 0; i < MAG_COUNT(plantings); i++) {
    make_repository(rig);
    if (!git && strncmp(plantings[i], "git ", 4) == 0) {
      (void) fprintf(stderr, "compute_test: SKIPPED '%s': no git here\n", plantings[i]);
      continue;
    }
    int code = rig_code(rig, "plain", plantings[i]);
    ck_assert_msg(code == 0, "no attack at all: '%s': exit %d\n%s", plantings[i], code, rig_last_output);
  }
  rig_destroy(rig, "plain");
}

START_TEST(what_git_and_friends_would_run_cannot_be_planted)
{
  struct rig rig;
  struct box_options options = {.flags = MBP_WORKSPACE_GUARDED};
  rig_open(&rig, &providers[_i]);
  if (rig.why_not[0] || rig.info->isolation == MBP_ISOLATION_NONE || !(rig.plugin->caps & MBP_CAP_COMPUTE_WORKSPACE)) {
    rig_close(&rig);
    return;
  }
  expect_plantings_without_guard(&rig);
  make_repository(&rig);
  rig_create(&rig, "a", &options);
  for (size_t i = 0; i < MAG_COUNT(plantings); i++)
    ck_assert_msg(rig_code(&rig, "a", plantings[i]) != 0, "BREACH: %s", plantings[i]);
  /* What the agent needs stays possible. */
  ck_assert_int_eq(rig_code(&rig, "a", "echo x > .git/index && mkdir .git/refs/heads && echo y > file"), 0);
  ck_assert_int_eq(rig_code(&rig, "a",
                            "echo x > sub/deep/.git/index && echo y > sub/deep/file && echo y > mod/file && "
                            "echo y > .git/worktrees/w/HEAD && mkdir .git/worktrees/new && mv sub/deep/file "
                            "sub/file && mv mod/file mod/file2"),
                   0);
  rig_destroy(&rig, "a");
  host_shell("cd '%s' && test \"$(cat .git/config .profile)\" = '[core]\nmine' && test -z \"$(ls .git/hooks)\"",
             rig.workspace);
  static const char *const litter[] = {".envrc",
                                       ".vscode",
                                       ".idea",
                                       ".magent",
                                       ".bashrc",
                                       "HEAD",
                                       ".git/commondir",
                                       ".gitconfig",
                                       ".git/config.worktree",
                                       "sub/deep/.git/commondir",
                                       ".git/worktrees/w/config.worktree"};
  for (size_t i = 0; i < MAG_COUNT(litter); i++)
    ck_assert_msg(!host_exists(&rig, litter[i]), "left behind: %s", litter[i]);
  rig_close(&rig);
}
END_TEST

START_TEST(it_is_told_where_not_all_repositories_below_are_guarded)
{
  struct rig rig;
  struct box_options options = {.flags = MBP_WORKSPACE_GUARDED};
  if (!begin_guarded(&rig, _i))
    return;
  ck_assert_ptr_null(strstr(rig.remark, "repositories"));
  host_shell("cd '%s' && for i in $(seq 20); do mkdir -p r$i/.git/hooks; done", rig.workspace);
  rig_create(&rig, "b", &options);
  ck_assert_msg(strstr(rig.remark, "not all repositories below the workspace are guarded"), "%s", rig.remark);
  rig_destroy(&rig, "b");
  rig.remark[0] = 0;
  host_shell("cd '%s' && rm -rf r* && mkdir -p r1 && ln -s ../x r1/.git", rig.workspace);
  rig_create(&rig, "c", &options);
  ck_assert_msg(strstr(rig.remark, "not all repositories"), "%s", rig.remark);
  ck_assert_int_eq(rig_code(&rig, "c", "echo x > file"), 0);
  rig_destroy(&rig, "c");
  finish(&rig);
}
END_TEST

START_TEST(a_path_that_was_replaced_meanwhile_makes_no_sandbox)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  host_shell(TEST_BUILDDIR "/sandbox/magent-sandbox init isolated=0 same=1:1:'%s' 2>&1 </dev/null | "
                           "grep -q 'was replaced while the sandbox was being made: try again'",
             rig.workspace);
  finish(&rig);
}
END_TEST

START_TEST(no_repository_can_be_made_in_a_guarded_directory)
{
  struct rig rig;
  struct box_options options = {.flags = MBP_WORKSPACE_GUARDED};
  if (!begin_guarded(&rig, _i))
    return;
  ck_assert_int_ne(rig_code(&rig, "a", "mkdir .git/hooks"), 0);
  ck_assert_int_ne(rig_code(&rig, "a", "rmdir .git"), 0);
  ck_assert_int_ne(rig_code(&rig, "a", "mv .git x"), 0);
  ck_assert_int_ne(rig_code(&rig, "a", "echo 'gitdir: x' > .git"), 0);
  ck_assert_int_ne(rig_code(&rig, "a", "echo 'ref: refs/heads/x' > HEAD"), 0); /* a bare one */
  /* A second sandbox keeps what the first one would take away. */
  rig_create(&rig, "b", &options);
  rig_destroy(&rig, "a");
  ck_assert(host_exists(&rig, ".git"));
  ck_assert_int_ne(rig_code(&rig, "b", "mkdir .git/hooks"), 0);
  rig_destroy(&rig, "b");
  ck_assert(!host_exists(&rig, ".git") && !host_exists(&rig, "HEAD"));
  /* A link cannot be held fast: no sandbox is made. */
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_sandbox_info info;
  host_shell("ln -s x '%s/.envrc'", rig.workspace);
  ck_assert_int_eq(rig_try_create(&rig, "c", &options, &info, &err), -MBP_E_UNSUPPORTED);
  ck_assert(strstr(err.message, ".envrc"));
  ck_assert(!host_exists(&rig, ".git"));
  rig_close(&rig);
}
END_TEST

START_TEST(set_id_files_and_devices_cannot_be_made)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  attack(&rig, "set-id");
  ck_assert_int_eq(rig_code(&rig, "a", "cp /bin/true t; chmod u+s t; chmod g+s t; test -u t -o -g t"), 1);
  finish(&rig);
}
END_TEST

/* What is done to a target that must not be had, and to one of our own, where it must work: a misspelt command or a
 * missing program could not fail for the right reason. */
struct attempt {
  const char *command, *target, *own;
  bool not_of_root; /* a sandbox of root can do it, and harms only itself */
};

#define OWN_NEW "/tmp/own/new"
#define OWN_FILE "/tmp/own/file"

static const struct attempt attempts_outside[] = {
    {"touch $1", "/usr/x", OWN_NEW, false},
    {"touch $1", "/etc/x", OWN_NEW, false},
    {"touch $1", "/x", OWN_NEW, false},
    {"touch $1", "/bin/x", OWN_NEW, false},
    {"touch $1", "/run/x", OWN_NEW, false},
    {"touch $1", "%HELPER%.x", OWN_NEW, false},
    {"touch $1", "/dev/x", OWN_NEW, false},
    {"mkdir $1", "/home", OWN_NEW, false},
    {"touch $1", "/var/x", OWN_NEW, false},
    {"echo x > $1", "%HELPER%", OWN_FILE, false},
    {"mv $1 /tmp/moved", "%HELPER%", OWN_FILE, false},
    {"echo core > $1", "/proc/sys/kernel/core_pattern", OWN_FILE, false},
    {"echo 1 > $1", "/proc/sys/vm/drop_caches", OWN_FILE, false},
    {"echo x > $1", "/proc/sysrq-trigger", OWN_FILE, false},
    {"echo 60 > $1", "/proc/sys/vm/swappiness", OWN_FILE, false},
    {"echo x > $1", "/etc/passwd", OWN_FILE, false},
    {"rm $1", "/etc/passwd", OWN_FILE, false},
    {"echo -500 > $1", "/proc/1/oom_score_adj", OWN_FILE, false},
    {"echo 500 > $1", "/proc/1/oom_score_adj", OWN_FILE, true},
    {"mknod $1", "/tmp/null c 1 3", OWN_NEW " p", false},
    {"cat $1", "/proc/kcore", OWN_FILE, false},
    {"cat $1", "/proc/kmsg", OWN_FILE, false},
    {"cat $1", "/dev/vda", OWN_FILE, false},
    {"cat $1", "/proc/slabinfo", OWN_FILE, false},
};

static int try_on(struct rig *rig, const struct attempt *attempt, const char *target)
{
  mag_autofree char *script = mag_sprintf("set -- '%s'; %s", target, attempt->command);
  return rig_code(rig, "a", script);
}

START_TEST(nothing_outside_the_workspace_can_be_written)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  for (size_t i = 0; i < MAG_COUNT(attempts_outside); i++) {
    const struct attempt *attempt = &attempts_outside[i];
    rig_text(&rig, "a", "rm -rf /tmp/own /tmp/moved && mkdir /tmp/own && echo x > " OWN_FILE);
    ck_assert_msg(try_on(&rig, attempt, attempt->own) == 0, "no attack at all: %s on %s\n%s", attempt->command,
                  attempt->own, rig_last_output);
    mag_autofree char *target = rig_replaced(attempt->target, "%HELPER%", rig_helper(&rig));
    mag_autofree char *there = mag_sprintf("test -d \"$(dirname '%s')\"", target);
    ck_assert_msg(rig_code(&rig, "a", there) == 0, "no place for an attack: %s", target);
    if (attempt->not_of_root && geteuid() == 0)
      continue;
    ck_assert_msg(try_on(&rig, attempt, target) != 0, "BREACH: %s on %s", attempt->command, target);
  }
  ck_assert_str_eq(rig_text(&rig, "a", "echo x > /tmp/x && echo y > ~/y && echo z > z && cat /tmp/x ~/y z"),
                   "x\ny\nz\n");
  if (rig.plugin->caps & MBP_CAP_COMPUTE_WORKSPACE)
    ck_assert(host_exists(&rig, "z"));
  finish(&rig);
}
END_TEST

START_TEST(put_and_get_do_not_leave_by_links)
{
  struct rig rig;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_file_info info;
  mag_autobuf content = MAG_BUF_INIT;
  if (!begin(&rig, _i, NULL))
    return;
  host_shell("mkdir '%s/outside' && echo secret > '%s/outside/file'", rig.work, rig.work);
  mag_autofree char *links =
      mag_sprintf("ln -s '%s/outside' dir; ln -s '%s/outside/file' file; ln -s .. up", rig.work, rig.work);
  rig_text(&rig, "a", links);
  static const char *const paths[] = {"dir/file", "file", "up/outside/file", "../outside/file", "dir/../outside/file"};
  for (size_t i = 0; i < MAG_COUNT(paths); i++) {
    ck_assert_msg(rig_get(&rig, "a", paths[i], 100, &content, &info, &err) < 0, "BREACH: get %s", paths[i]);
    if (strcmp(paths[i], "file") != 0) /* that link itself is replaced, which is right */
      ck_assert_msg(rig_put(&rig, "a", paths[i], mbp_str("evil"), 0644, &err) < 0 || rig.info->isolation,
                    "BREACH: put %s", paths[i]);
  }
  mag_autofree char *absolute = mag_sprintf("%s/outside/file", rig.work);
  ck_assert_int_lt(rig_get(&rig, "a", absolute, 100, &content, &info, &err), 0);
  (void) rig_put(&rig, "a", absolute, mbp_str("evil"), 0644, &err);
  host_shell("test \"$(cat '%s/outside/file')\" = secret && test \"$(ls '%s/outside')\" = file", rig.work, rig.work);
  /* The same while somebody turns the directory into the link and back. */
  struct background race;
  struct run_options options = {.hard_ms = 1500};
  mag_autofree char *spin = mag_sprintf("mkdir real; ln -s '%s/outside' evil; while :; do ln -sfn real d; rm d; "
                                        "mkdir d; rmdir d; ln -sfn evil d; done 2>/dev/null",
                                        rig.work);
  rig_start(&race, &rig, "a", spin, &options);
  for (int i = 0; i < 150; i++)
    (void) rig_put(&rig, "a", "d/file", mbp_str("evil"), 0644, &err);
  rig_join(&race);
  outcome_done(&race.outcome);
  host_shell("test \"$(cat '%s/outside/file')\" = secret && test \"$(ls '%s/outside')\" = file", rig.work, rig.work);
  finish(&rig);
}
END_TEST

START_TEST(no_capability_can_be_had)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  ck_assert_str_eq(
      rig_text(&rig, "a", "grep -E 'CapInh|CapPrm|CapEff|CapBnd|CapAmb' /proc/self/status | cut -f2 | sort -u"),
      "0000000000000000\n");
  ck_assert_str_eq(rig_text(&rig, "a", "grep NoNewPrivs /proc/self/status | cut -f2"), "1\n");
  attack(&rig, "namespaces");
  finish(&rig);
}
END_TEST

START_TEST(the_hosts_keys_and_memory_are_out_of_reach)
{
  struct rig rig;
  ck_assert_int_eq(setenv("MAGENT_TEST_SECRET", "hunter2-secret", 1), 0);
  if (!begin_isolated(&rig, _i, NULL))
    return;
  /* Taken apart, so that the search does not find itself. */
  ck_assert_int_ne(rig_code(&rig, "a", "cat /proc/[0-9]*/environ 2>/dev/null | grep -a hunter'2-se'cret"), 0);
  ck_assert_int_ne(rig_code(&rig, "a", "env | grep SECRET"), 0);
  ck_assert_int_eq(rig_code(&rig, "a", "cat /proc/1/environ /proc/1/mem"), 1);
  attack(&rig, "trace");
  attack(&rig, "trace-leader");
  finish(&rig);
}
END_TEST

START_TEST(init_cannot_be_killed_or_starved)
{
  struct rig rig;
  if (!begin_isolated(&rig, _i, NULL))
    return;
  attack(&rig, "starve");
  ck_assert_str_eq(rig_text(&rig, "a", "kill -9 1; kill -STOP 1; echo on"), "on\n");
  for (int i = 0; i < 20; i++)
    ck_assert_int_eq(rig_code(&rig, "a", "exit 3"), 3);
  finish(&rig);
}
END_TEST

START_TEST(descriptors_of_the_host_do_not_reach_commands)
{
  struct rig rig;
  int leak = dup(2); /* not close-on-exec, as a program's own may be */
  if (!begin(&rig, _i, NULL))
    return;
  ck_assert_str_eq(rig_text(&rig, "a", "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 "); /* 3: the directory */
  (void) close(leak);
  finish(&rig);
}
END_TEST

void add_wall_cases(Suite *suite)
{
  TCase *tcase = tcase_create("walls");
  int n = (int) n_providers;
  tcase_set_timeout(tcase, 90);
  tcase_add_loop_test(tcase, other_files_and_processes_are_not_there, 0, n);
  tcase_add_loop_test(tcase, the_hosts_network_is_out_of_reach, 0, n);
  tcase_add_loop_test(tcase, a_host_socket_in_a_bound_directory_is_out_of_reach, 0, n);
  tcase_add_loop_test(tcase, what_git_and_friends_would_run_cannot_be_planted, 0, n);
  tcase_add_loop_test(tcase, it_is_told_where_not_all_repositories_below_are_guarded, 0, n);
  tcase_add_loop_test(tcase, a_path_that_was_replaced_meanwhile_makes_no_sandbox, 0, n);
  tcase_add_loop_test(tcase, no_repository_can_be_made_in_a_guarded_directory, 0, n);
  tcase_add_loop_test(tcase, set_id_files_and_devices_cannot_be_made, 0, n);
  tcase_add_loop_test(tcase, nothing_outside_the_workspace_can_be_written, 0, n);
  tcase_add_loop_test(tcase, put_and_get_do_not_leave_by_links, 0, n);
  tcase_add_loop_test(tcase, no_capability_can_be_had, 0, n);
  tcase_add_loop_test(tcase, the_hosts_keys_and_memory_are_out_of_reach, 0, n);
  tcase_add_loop_test(tcase, init_cannot_be_killed_or_starved, 0, n);
  tcase_add_loop_test(tcase, descriptors_of_the_host_do_not_reach_commands, 0, n);
  suite_add_tcase(suite, tcase);
}
