#include "spill.h"

#include <stdio.h>

#define BEGIN_MS 10000
#define END_MS 10000

static const char script[] = "umask 077; d=${TMPDIR:-/tmp}/$1; mkdir -p \"$d\" && cd \"$d\" && pwd && exec cat >\"$2\"";

static void give_up(struct mbp_instance *agent, struct spill *spill, const char *why)
{
  (void) snprintf(spill->problem, sizeof(spill->problem), "%.199s", why);
  agent->compute->close(spill->stream);
  spill->stream = NULL;
}

/* A path that the sandbox told: it goes into a line of text and into arguments. */
static int is_path(const char *text, size_t len, size_t cap)
{
  if (len == 0 || len >= cap || text[0] != '/')
    return 0;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char) text[i] < ' ' || text[i] == 0x7f)
      return 0;
  return 1;
}

/* Waits for the writer's first line: the directory that it works in. */
static int await_directory(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill, struct text *line)
{
  const struct mbp_compute_v1 *compute = agent->compute;
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_event event;
  const char *newline = NULL;
  while (!newline && line->len < 1024) {
    if (compute->next(spill->stream, call, BEGIN_MS, &event, &err) <= 0)
      return 0;
    if (event.type == MBP_EV_EXEC_OUTPUT && event.index == 1)
      text_add(line, event.data.ptr, event.data.len);
    newline = line->len ? memchr(line->ptr, '\n', line->len) : NULL;
  }
  line->len = newline ? (size_t) (newline - line->ptr) : 0;
  return is_path(line->ptr, line->len, sizeof(agent->spill_dir));
}

void spill_begin(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill)
{
  char file[32];
  (void) snprintf(file, sizeof(file), "output-%u.txt", ++agent->spills);
  struct mbp_str argv[] = {mbp_str("/bin/sh"),         mbp_str("-c"), mbp_str(script), mbp_str("sh"),
                           mbp_str(agent->spill_name), mbp_str(file)};
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .flags = MBP_EXEC_STDIN,
                          .argv = argv,
                          .n_argv = sizeof(argv) / sizeof(argv[0])};
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  auto_text line = {0};
  *spill = (struct spill){0};
  if (agent->compute->exec(call, &exec, &spill->stream, &err) < 0)
    give_up(agent, spill, err.message);
  else if (!await_directory(agent, call, spill, &line))
    give_up(agent, spill, "no file could be made in the sandbox");
  if (!spill->stream)
    return;
  pthread_mutex_lock(&agent->lock);
  (void) snprintf(agent->spill_dir, sizeof(agent->spill_dir), "%.*s", (int) line.len, line.ptr);
  pthread_mutex_unlock(&agent->lock);
  (void) snprintf(spill->path, sizeof(spill->path), "%.*s/%s", (int) line.len, line.ptr, file);
}

void spill_add(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill, const char *bytes, size_t len)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  uint64_t room = (uint64_t) agent->spill_limit - spill->written;
  if (!spill->stream)
    return;
  if (len > room) {
    len = (size_t) room;
    spill->cut = 1;
  }
  if (len && agent->compute->write(spill->stream, call, mbp_str_n(bytes, len), 0, &err) < 0)
    give_up(agent, spill, "the file in the sandbox could not be written; is its disk full?");
  else
    spill->written += len;
}

void spill_end(struct mbp_instance *agent, struct mbp_call *call, struct spill *spill, struct text *ret_note)
{
  const struct mbp_compute_v1 *compute = agent->compute;
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  struct mbp_event event;
  if (spill->stream) {
    int r = compute->write(spill->stream, call, mbp_str_n(NULL, 0), MBP_STDIN_EOF, &err);
    while (r == 0 && (r = compute->next(spill->stream, call, END_MS, &event, &err)) > 0)
      r = 0;
    const struct mbp_exec_result *result = r == 0 ? compute->result(spill->stream) : NULL;
    if (!result || result->exit_code != 0)
      give_up(agent, spill,
              agent->host->cancelled(call) ? "the call was cancelled"
                                           : "the file in the sandbox could not be written; is its disk full?");
    else
      compute->close(spill->stream);
    spill->stream = NULL;
  }
  if (spill->problem[0])
    text_printf(ret_note, "the middle is lost: %s", spill->problem);
  else if (spill->cut)
    text_printf(ret_note, "its first %llu bytes are in %s", (unsigned long long) spill->written, spill->path);
  else
    text_printf(ret_note, "all of it is in %s", spill->path);
}
