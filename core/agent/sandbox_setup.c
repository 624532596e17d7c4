/* The setup commands of a new sandbox: each is a shell command that must end well, before anybody uses the sandbox. */
#include "agent/sandbox_parts.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "host/redact.h"

#include <stdio.h>
#include <string.h>

#define SETUP_MS 600000      /* one command */
#define OUTPUT_MAX (1 << 20) /* of one command; more is dropped */
#define TAIL 200             /* bytes of it that an error shows */

struct setup {
  struct mag_buf tail;
  struct mbp_exec_result result;
  char message[160];
};

static int take_output(void *ctx, const struct mbp_event *event)
{
  struct setup *setup = ctx;
  if (event->type != MBP_EV_EXEC_OUTPUT)
    return 0;
  mag_buf_add_str(&setup->tail, event->data);
  if (setup->tail.len > 2 * TAIL)
    mag_buf_consume(&setup->tail, setup->tail.len - TAIL);
  return 0;
}

static int take_result(void *ctx, const void *result, struct mbp_error *err)
{
  struct setup *setup = ctx;
  const struct mbp_exec_result *given = result;
  if (!given)
    return mag_error(err, MBP_E_INTERNAL, "the provider told nothing of how the command ended");
  memcpy(&setup->result, given, MAG_MIN((size_t) given->size, sizeof(setup->result)));
  (void) snprintf(setup->message, sizeof(setup->message), "%.*s",
                  (int) MAG_MIN(setup->result.message.len, (size_t) 150),
                  setup->result.message.ptr ? setup->result.message.ptr : "");
  return 0;
}

/* "setup: `false` failed with status 1: the end of what it printed" */
static int failed(struct setup *setup, struct mbp_str command, struct mbp_error *err)
{
  size_t len = MAG_MIN(setup->tail.len, (size_t) TAIL);
  mag_autofree char *tail = mag_str_dup(mbp_str_n(setup->tail.len ? setup->tail.ptr + setup->tail.len - len : "", len));
  for (char *p = tail; p && *p; p++)
    if (*p == '\n' || *p == '\r')
      *p = p[1] ? ' ' : 0;
  int r = setup->message[0] ? mag_error(err, MBP_E_UNAVAILABLE, "compute.setup: `%.*s`: %s",
                                        (int) MAG_MIN(command.len, (size_t) 100), command.ptr, setup->message)
                            : mag_error(err, MBP_E_UNAVAILABLE, "compute.setup: `%.*s` failed with status %d%s%s",
                                        (int) MAG_MIN(command.len, (size_t) 100), command.ptr, setup->result.exit_code,
                                        tail && *tail ? ": " : "", tail ? tail : "");
  mag_redact_error(err);
  return r;
}

static int run_command(struct mag_sandbox *sandbox, struct mbp_call *parent, struct box *box, unsigned number,
                       struct mbp_str command, struct mbp_error *err)
{
  char key[32];
  (void) snprintf(key, sizeof(key), "setup-%u", number);
  const struct mbp_str argv[] = {mbp_str("/bin/sh"), mbp_str("-c"), command};
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool),
                          .flags = MBP_EXEC_MERGE,
                          .key = mbp_str(key),
                          .argv = argv,
                          .n_argv = MAG_COUNT(argv),
                          .hard_timeout_ms = SETUP_MS,
                          .output_limit = OUTPUT_MAX};
  struct setup setup = {.tail = MAG_BUF_INIT};
  struct mag_call_options options = {.parent = parent, .sink = take_output, .on_result = take_result, .ctx = &setup};
  int r = MAG_RUN(sandbox->compute, &options, err, sandbox->ops->exec(plugin, call, box->info.id, &exec, err));
  if (r == 0 && (setup.result.reason != MBP_EXIT_EXITED || setup.result.exit_code != 0))
    r = failed(&setup, command, err);
  mag_buf_done(&setup.tail);
  return r;
}

int mag_sandbox_set_up(struct mag_sandbox *sandbox, struct mbp_call *parent, struct box *box, struct mbp_error *err)
{
  mag_autojson commands = NULL;
  unsigned number = 0;
  int r = sandbox->setup ? mag_json_parse(mbp_str(sandbox->setup), &commands, err) : 0;
  for (const struct mbp_json *i = mag_json_first(commands); i && r == 0; i = mag_json_next(i))
    r = run_command(sandbox, parent, box, ++number, mag_json_str(i), err);
  return r;
}
