#include "agent/project_file.h"

#include "agent/schema.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Why what is open cannot be trusted, or NULL. */
static const char *distrust(int fd, mode_t type)
{
  struct stat st;
  if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != type)
    return type == S_IFDIR ? "is no directory" : "is no regular file";
  if (st.st_uid != geteuid())
    return "belongs to somebody else";
  return st.st_mode & S_IWOTH ? "can be written by everybody" : NULL;
}

struct finding {
  int fd; /* the file, or -1 */
  char *path, *notice;
};

static int leave_out(struct finding *finding, const char *path, const char *what, const char *why)
{
  finding->notice =
      mag_sprintf("%s/" MAG_PROJECT_FILE " is left out: %s %s", strcmp(path, "/") == 0 ? "" : path, what, why);
  return finding->notice ? 1 : -MBP_E_NO_MEMORY;
}

/* 1: it is here, found or left out; 0: it is not. No part of the way may be a symbolic link. */
static int look(struct finding *finding, const char *path)
{
  mag_autoclose int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  mag_autoclose int magent = dir < 0 ? -1 : openat(dir, ".magent", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (magent < 0)
    return 0;
  mag_autoclose int file =
      openat(magent, "environment.yaml", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
    return 0;
  if (file < 0)
    return leave_out(finding, path, "it", "cannot be opened, or is a symbolic link");
  const char *why = distrust(dir, S_IFDIR);
  if (why)
    return leave_out(finding, path, path, why);
  if ((why = distrust(magent, S_IFDIR)))
    return leave_out(finding, path, ".magent", why);
  if ((why = distrust(file, S_IFREG)))
    return leave_out(finding, path, "it", why);
  finding->path = mag_sprintf("%s/" MAG_PROJECT_FILE, strcmp(path, "/") == 0 ? "" : path);
  if (!finding->path)
    return -MBP_E_NO_MEMORY;
  finding->fd = mag_steal_fd(&file);
  return 1;
}

/* The nearest one counts, whether it can be used or not. */
static int find(struct finding *finding, const char *start, struct mbp_error *err)
{
  mag_autofree char *path = realpath(start, NULL);
  int r = 0;
  if (!path && errno == ENOENT) /* a working directory that was removed belongs to no project */
    return 0;
  if (!path)
    return mag_error_errno(err, errno, "%s", start);
  while (r == 0) {
    r = look(finding, path);
    char *slash = strrchr(path, '/');
    if (r != 0 || !slash || !path[1])
      break;
    slash[slash == path] = 0;
  }
  return r < 0 ? mag_error_no_memory(err) : 0;
}

int mag_project_lay(struct mag_definition *definition, const char *start, char **ret_path, char **ret_notice,
                    struct mbp_error *err)
{
  struct finding finding = {.fd = -1};
  struct mag_definition said = {0};
  mag_autofree char *json = NULL;
  int r = find(&finding, start, err);
  if (r == 0 && finding.fd >= 0)
    r = mag_definition_read_fd(finding.fd, finding.path, &json, err);
  if (r == 0 && json)
    r = mag_definition_take_in(&said, mbp_str(json), MAG_IN_PROJECT, finding.path, true, err);
  if (r == 0 && json && !(said.project = mag_str_dup(mbp_str(finding.path))))
    r = mag_error_no_memory(err);
  /* Where the agent says image and setup itself, the project's do not count; variables are joined. */
  if ((said.image && !definition->image) || (said.setup && !definition->setup) || said.env)
    said.project_code = 1;
  if (r == 0)
    r = mag_definition_lay(definition, &said, err);
  mag_definition_done(&said);
  if (finding.fd >= 0)
    (void) close(finding.fd);
  if (r < 0) {
    free(finding.path);
    free(finding.notice);
    return r;
  }
  *ret_path = finding.path;
  *ret_notice = finding.notice;
  return 0;
}
