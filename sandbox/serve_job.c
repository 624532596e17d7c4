/* Commands: their pipes, their output until it has arrived, their time limits, their ends. */
#include "sandbox/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_MS 100  /* for what others still write after the process has ended */
#define ENDED_KEPT 64 /* that are still known after their end */
#define SPOOL_LOOK_MS 50
#define OUTPUT_KEPT_MS 60000 /* after its end was told */
#define SPOOL_LIMIT (64u << 20) /* of a background process's output file, if nobody asked for another */

static struct job *jobs;
static uint32_t next_id;
static char scratch[64 << 10];

struct job *job_first(void)
{
  return jobs;
}

struct job *job_find(const char key[MAG_FRAME_KEY])
{
  for (struct job *job = jobs; job; job = job->next)
    if (job->key[0] && strncmp(job->key, key, MAG_FRAME_KEY) == 0)
      return job;
  return NULL;
}

static void close_fd(int *fd)
{
  if (*fd >= 0)
    (void) close(*fd);
  *fd = -1;
}

static void job_free(struct job *job)
{
  for (int i = 0; i < 2; i++) {
    close_fd(&job->out[i].fd);
    free(job->out[i].bytes);
  }
  close_fd(&job->in);
  close_fd(&job->spool_fd);
  free(job->command);
  free(job->spool);
  free(job);
}

/* Those that have ended, are not being told and of which nothing is left stay for who asks again, the newest ones. The
 * list is newest first. */
static void prune(void)
{
  unsigned kept = 0;
  for (struct job **at = &jobs; *at;) {
    struct job *job = *at;
    if (job->ended && !job->id && !job->watcher && (!job->key[0] || ++kept > ENDED_KEPT)) {
      *at = job->next;
      job_free(job);
    } else {
      at = &job->next;
    }
  }
}

/* ---- Start ------------------------------------------------------------------------------------------------------ */

extern char **environ;

static bool same_name(const char *a, const char *b)
{
  size_t n = strcspn(a, "=");
  return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* The container's own environment, with what the command brings in its place. */
static char **merge_env(char **own)
{
  size_t n = 0, n_base = 0, n_own = 0;
  while (environ[n_base])
    n_base++;
  while (own[n_own])
    n_own++;
  char **all = calloc(n_base + n_own + 1, sizeof(*all));
  for (size_t i = 0; all && i < n_base; i++) {
    bool replaced = false;
    for (size_t k = 0; k < n_own && !replaced; k++)
      replaced = same_name(environ[i], own[k]);
    if (!replaced)
      all[n++] = environ[i];
  }
  for (size_t k = 0; all && k < n_own; k++)
    all[n++] = own[k];
  return all;
}

static char *command_line(char **argv)
{
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  for (size_t i = 0; out && argv[i] && ftell(out) < 1024; i++)
    (void) fprintf(out, "%s%.1024s", i ? " " : "", argv[i]);
  if (out)
    (void) fclose(out);
  return text;
}

/* `path` below `directory`; the caller frees it. */
static char *path_in(const char *directory, const char *path)
{
  char *text = NULL;
  bool whole = path[0] == '/';
  int n = path[0] ? asprintf(&text, "%s%s%s", whole ? "" : directory, whole ? "" : "/", path)
                  : asprintf(&text, "%s", directory);
  return n < 0 ? NULL : text;
}

/* The container's working directory, which is where the server was started. */
static const char *own_directory(void)
{
  static char path[PATH_MAX];
  if (!path[0] && !getcwd(path, sizeof(path)))
    return "/";
  return path;
}

struct ends {
  int theirs[3]; /* stdin, stdout, stderr */
};

static int open_pipes(struct job *job, struct ends *ends)
{
  int *ours[] = {&job->in, &job->out[0].fd, &job->out[1].fd};
  bool background = job->flags & MAG_EXEC_BACKGROUND;
  const bool wanted[] = {job->flags & MAG_EXEC_STDIN, !background, !background && !(job->flags & MAG_EXEC_MERGE)};
  for (int i = 0; i < 3; i++) {
    int pair[2];
    if (!wanted[i])
      continue;
    if (pipe2(pair, O_CLOEXEC) < 0)
      return errno;
    *ours[i] = pair[i == 0];
    ends->theirs[i] = pair[i != 0];
    (void) fcntl(*ours[i], F_SETFL, O_NONBLOCK | (i == 0 ? O_WRONLY : O_RDONLY));
  }
  return 0;
}

static int start(struct job *job, struct exec_args *args)
{
  struct ends ends = {{-1, -1, -1}};
  char **all = merge_env(args->envp), *cwd = path_in(own_directory(), args->cwd);
  bool background = job->flags & MAG_EXEC_BACKGROUND;
  job->command = command_line(args->argv);
  job->spool = !cwd                           ? NULL
               : background && args->spool[0] ? path_in(cwd, args->spool)
                                              : path_in("", background ? "/dev/null" : "");
  int number = all && cwd && job->command && job->spool ? open_pipes(job, &ends) : ENOMEM;
  if (number == 0) {
    args->cwd = cwd;
    args->spool = job->spool;
    args->envp = all;
    args->in = ends.theirs[0];
    args->out = ends.theirs[1];
    args->err = ends.theirs[2];
    args->merge = job->flags & MAG_EXEC_MERGE;
    args->spool_limit = job->limit < INT64_MAX ? (uint64_t) job->limit : SPOOL_LIMIT;
    job->kills_before = memory_kills();
    number = slots_start(job->id, args);
  }
  for (int i = 0; i < 3; i++)
    close_fd(&ends.theirs[i]);
  free(cwd);
  free(all);
  return number;
}

static struct job *job_new(const struct mag_frame_exec *exec)
{
  struct job *job = calloc(1, sizeof(*job));
  if (!job)
    return NULL;
  int64_t now = slots_now_ms();
  memcpy(job->key, exec->key, sizeof(job->key));
  job->serial = exec->serial;
  job->attempt = exec->attempt;
  job->flags = exec->flags;
  job->id = ++next_id ? next_id : ++next_id;
  job->limit = exec->output_limit > 0 ? exec->output_limit : INT64_MAX;
  job->soft_at = exec->soft_ms > 0 ? now + exec->soft_ms : 0;
  job->hard_at = exec->hard_ms > 0 ? now + exec->hard_ms : 0;
  job->in = job->out[0].fd = job->out[1].fd = job->spool_fd = -1;
  return job;
}

/* From where the output is sent. */
static int rewind_to(struct job *job, const int64_t from[2])
{
  job->told_started = false;
  for (int i = 0; i < 2; i++) {
    struct stream *out = &job->out[i];
    out->sent = from[i] > out->base ? from[i] : out->base;
    if (out->sent > out->end)
      return EINVAL;
  }
  return 0;
}

int job_exec(char *payload, size_t len, struct job **ret_job)
{
  struct mag_frame_exec exec;
  if (len <= sizeof(exec))
    return EINVAL;
  memcpy(&exec, payload, sizeof(exec));
  len -= sizeof(exec);
  if (exec.key[MAG_FRAME_KEY - 1] || !exec.key[0] || exec.argc < 1 || exec.argc > len || exec.envc > len)
    return EINVAL;
  struct job *same = job_find(exec.key);
  if (same && same->serial == exec.serial) {
    if (exec.attempt <= same->attempt)
      return ESTALE;
    same->attempt = exec.attempt;
    *ret_job = same;
    return rewind_to(same, exec.from);
  }
  if (same && !same->exited && !same->failed)
    return EEXIST;
  struct exec_args args = {0};
  char **pointers = calloc((size_t) exec.argc + exec.envc + 2, sizeof(*pointers));
  struct job *job = pointers ? job_new(&exec) : NULL;
  int number = !job                                                                             ? ENOMEM
               : !slots_cut(payload + sizeof(exec), len, exec.argc, exec.envc, pointers, &args) ? EINVAL
                                                                                                : start(job, &args);
  free(pointers);
  if (number) {
    if (job)
      job_free(job);
    return number;
  }
  if (same)
    same->key[0] = 0; /* its tree may live on, but the name is the new one's */
  job->next = jobs;
  jobs = job;
  *ret_job = job;
  return 0;
}

/* ---- Output ----------------------------------------------------------------------------------------------------- */

static size_t room(const struct stream *stream)
{
  return MAG_FRAME_WINDOW - (size_t) (stream->end - stream->base);
}

static void keep(struct stream *stream, const char *data, size_t len)
{
  size_t at = (size_t) (stream->end % MAG_FRAME_WINDOW);
  size_t first = len < MAG_FRAME_WINDOW - at ? len : MAG_FRAME_WINDOW - at;
  memcpy(stream->bytes + at, data, first);
  memcpy(stream->bytes, data + first, len - first);
  stream->end += (int64_t) len;
}

static bool wants_output(const struct job *job, const struct stream *stream)
{
  return stream->fd >= 0 && (job->taken >= job->limit || room(stream) > 0);
}

static bool is_held(const struct job *job, const struct stream *stream)
{
  return stream->fd >= 0 && !wants_output(job, stream);
}

/* One piece of output. What is beyond the limit is read and counted, so that the command is not held by it. */
static void take(struct job *job, struct stream *stream)
{
  size_t want = sizeof(scratch);
  if (job->taken < job->limit && room(stream) < want)
    want = room(stream);
  ssize_t n = read(stream->fd, scratch, want);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0 && !stream->bytes && !(stream->bytes = malloc(MAG_FRAME_WINDOW)))
    n = -1;
  if (n <= 0) {
    close_fd(&stream->fd);
    return;
  }
  size_t show = (int64_t) n < job->limit - job->taken ? (size_t) n : (size_t) (job->limit - job->taken);
  keep(stream, scratch, show);
  job->taken += (int64_t) show;
  job->end.dropped += n - (ssize_t) show;
}

void job_acknowledge(struct job *job, unsigned stream, int64_t offset)
{
  if (stream < 1 || stream > 2)
    return;
  struct stream *out = &job->out[stream - 1];
  if (offset > out->base && offset <= out->sent)
    out->base = offset;
}

static int open_spool(struct job *job, int64_t from)
{
  struct stat st;
  close_fd(&job->spool_fd);
  job->spool_at = from > 0 ? from : 0;
  job->spool_fd = open(job->spool, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (job->spool_fd < 0)
    return errno;
  return fstat(job->spool_fd, &st) == 0 && S_ISREG(st.st_mode) ? 0 : EINVAL;
}

int job_attach(struct job *job, const int64_t from[2])
{
  if ((job->flags & MAG_EXEC_BACKGROUND) && job->spool[0])
    return open_spool(job, from[0]);
  return rewind_to(job, from);
}

static size_t next_of_spool(struct job *job, struct mag_frame_output *head, char *data, size_t cap)
{
  ssize_t n = pread(job->spool_fd, data, cap, job->spool_at);
  if (n <= 0)
    return 0;
  *head = (struct mag_frame_output){.stream = 1, .offset = job->spool_at};
  job->spool_at += n;
  return (size_t) n;
}

size_t job_next_output(struct job *job, struct mag_frame_output *head, char *data, size_t cap)
{
  if (job->spool_fd >= 0)
    return next_of_spool(job, head, data, cap);
  for (unsigned i = 0; i < 2; i++) {
    struct stream *out = &job->out[i];
    size_t at = (size_t) (out->sent % MAG_FRAME_WINDOW), n = (size_t) (out->end - out->sent);
    if (n == 0)
      continue;
    if (n > cap)
      n = cap;
    if (n > MAG_FRAME_WINDOW - at)
      n = MAG_FRAME_WINDOW - at;
    memcpy(data, out->bytes + at, n);
    *head = (struct mag_frame_output){.stream = i + 1, .offset = out->sent};
    out->sent += (int64_t) n;
    return n;
  }
  return 0;
}

/* ---- stdin and signals ------------------------------------------------------------------------------------------ */

int job_write(struct job *job, const char **data, size_t *len)
{
  while (*len > 0) {
    if (job->in < 0)
      return EPIPE;
    ssize_t n = write(job->in, *data, *len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return EAGAIN;
    if (n < 0) {
      close_fd(&job->in);
      return EPIPE;
    }
    job->in_taken += n;
    *data += n;
    *len -= (size_t) n;
  }
  return 0;
}

void job_close_stdin(struct job *job)
{
  close_fd(&job->in);
}

void job_signal(struct job *job, int number, bool tree)
{
  if (job->id && (tree || !job->exited))
    slots_signal(job->id, number, tree);
}

/* ---- Times and ends --------------------------------------------------------------------------------------------- */

static void check_times(struct job *job, int64_t now)
{
  if (job->soft_at && now >= job->soft_at) {
    job->soft_at = 0;
    job->end.flags |= MAG_END_SOFT;
    job_signal(job, SIGTERM, true);
  }
  if (job->hard_at && now >= job->hard_at) {
    job->hard_at = 0;
    job->end.flags |= MAG_END_HARD;
    job_signal(job, SIGKILL, true);
  }
}

static void note_exit(struct job *job, const struct slot *slot, int64_t now)
{
  struct slot_end end = slots_end(slot);
  job->exited = true;
  job->failed = end.failed;
  job->failed_at = end.failed_at;
  job->end.code = end.code;
  job->end.signal = end.signal;
  job->drain_at = now + DRAIN_MS;
}

static void conclude(struct job *job, int64_t now)
{
  bool open = job->out[0].fd >= 0 || job->out[1].fd >= 0;
  if (job->ended || !job->exited)
    return;
  /* What came before the end is not lost because the host is slow: the time counts from where there is room. */
  if (open && (is_held(job, &job->out[0]) || is_held(job, &job->out[1])))
    job->drain_at = now + DRAIN_MS;
  if (open && now < job->drain_at && !job->failed)
    return;
  if (open)
    job->end.flags |= MAG_END_HELD_OPEN;
  job->ended = true;
  if (job->end.code != 0 && job->kills_before >= 0) {
    job->end.memory_peak = memory_peak();
    if (memory_kills() > job->kills_before)
      job->end.flags |= MAG_END_MEMORY;
  }
  close_fd(&job->out[0].fd);
  close_fd(&job->out[1].fd);
  close_fd(&job->in);
}

/* Who was told of the end had the output before it. It may have been cut just then and ask again, but not for ever. */
static void drop_output(struct job *job)
{
  for (int i = 0; i < 2; i++) {
    struct stream *out = &job->out[i];
    free(out->bytes);
    out->bytes = NULL;
    out->base = out->sent = out->end;
  }
}

static void look(struct job *job, int64_t now)
{
  struct slot *slot = slots_find(job->id);
  if (slot) {
    if (!job->pid)
      job->pid = slots_pid(slot);
    if (!job->exited && slots_has_ended(slot))
      note_exit(job, slot, now);
    if (slot->gone && job->exited) {
      slot->id = 0;
      job->id = 0;
    }
  }
  if (!job->watcher)
    close_fd(&job->spool_fd);
  if (!job->watcher && job->told_ms && now > job->told_ms + OUTPUT_KEPT_MS)
    drop_output(job);
  if (!job->exited)
    check_times(job, now);
  conclude(job, now);
}

size_t job_poll(struct pollfd *fds, size_t cap, int64_t *wake_ms)
{
  size_t n = 0;
  for (struct job *job = jobs; job && n + 2 <= cap; job = job->next) {
    const int64_t times[] = {job->exited ? 0 : job->soft_at, job->exited ? 0 : job->hard_at,
                             job->exited && !job->ended ? job->drain_at : 0,
                             job->watcher && job->spool_fd >= 0 ? slots_now_ms() + SPOOL_LOOK_MS : 0};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
      if (times[i] && times[i] < *wake_ms)
        *wake_ms = times[i];
    for (int i = 0; i < 2; i++)
      if (wants_output(job, &job->out[i]))
        fds[n++] = (struct pollfd){job->out[i].fd, POLLIN, 0};
  }
  return n;
}

void job_run(const struct pollfd *fds, size_t n)
{
  size_t at = 0;
  int64_t now = slots_now_ms();
  for (struct job *job = jobs; job; job = job->next) {
    /* In the order in which they were filled in. */
    for (int i = 0; i < 2; i++)
      if (at < n && fds[at].fd == job->out[i].fd && fds[at].fd >= 0) {
        if (fds[at].revents)
          take(job, &job->out[i]);
        at++;
      }
    look(job, now);
  }
  prune();
}
