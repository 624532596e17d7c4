/* magent session answer: answers a tool call that waits, or lists what waits. */
#include "session_answer.h"

#include "agent/answer.h"
#include "agent/custom_parts.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "options.h"
#include "question.h"
#include "render.h"

#include <string.h>
#include <unistd.h>

#define RESULT_MAX (8u << 20)

static const char help_text[] =
    "Usage: magent session answer ID [EVENT] --allow [--always] | --deny [--message M] | --result JSON|-\n"
    "       magent session answer ID [--json]\n"
    "\n"
    "Answers a tool call that waits, from any process. Without an answer it lists what waits.\n"
    "\n"
    "  EVENT             which call; may be left out while only one waits\n"
    "  --allow           the call may run\n"
    "  --always          ... and so may every later call of the same tool in this session\n"
    "  --deny            it may not\n"
    "  --message M       with --deny: what the model is told\n"
    "  --result JSON     the result of a custom tool (\"-\": read from stdin): any JSON value, or text that is none;\n"
    "                    {\"content\": [text and image blocks], \"is_error\": BOOL} says more\n"
    "  --error           with --result: the tool has failed\n"
    "  --json            print JSON\n"
    "  --help\n"
    "\n"
    "A turn that runs goes on with it; else `magent session resume ID` does. Exit status 1: there is no such call, or\n"
    "it has been answered already.\n";

struct options {
  const char *id, *event, *message, *result;
  bool allow, deny, always, error, json;
};

enum { O_ALLOW = 256, O_DENY, O_ALWAYS, O_MESSAGE, O_RESULT, O_ERROR, O_JSON };

static const struct option long_options[] = {
    {"allow", no_argument, NULL, O_ALLOW},
    {"deny", no_argument, NULL, O_DENY},
    {"always", no_argument, NULL, O_ALWAYS},
    {"message", required_argument, NULL, O_MESSAGE},
    {"result", required_argument, NULL, O_RESULT},
    {"error", no_argument, NULL, O_ERROR},
    {"json", no_argument, NULL, O_JSON},
    {NULL, 0, NULL, 0},
};

static int check_options(const struct options *options)
{
  int answers = options->allow + options->deny + (options->result != NULL);
  if (!options->id)
    return cli_usage("session answer", "the id of a session is needed");
  if (answers > 1)
    return cli_usage("session answer", "only one of --allow, --deny and --result");
  if (options->event && answers == 0)
    return cli_usage("session answer", "--allow, --deny or --result is needed");
  if ((options->always && !options->allow) || (options->message && !options->deny) ||
      (options->error && !options->result))
    return cli_usage("session answer", "--always is for --allow, --message for --deny, --error for --result");
  return options->message && !mag_utf8_valid(options->message, strlen(options->message))
             ? cli_usage("session answer", "the message is not UTF-8 text")
             : 0;
}

static void take_option(struct options *options, int option)
{
  options->allow |= option == O_ALLOW;
  options->deny |= option == O_DENY;
  options->always |= option == O_ALWAYS;
  options->error |= option == O_ERROR;
  options->json |= option == O_JSON;
  if (option == O_MESSAGE)
    options->message = optarg;
  if (option == O_RESULT)
    options->result = optarg;
}

/* 0, a status to exit with, or -1: help was printed. */
static int read_options(struct options *options, int argc, char **argv)
{
  int option;
  cli_options_begin();
  while ((option = cli_option("session answer", argc, argv, long_options)) != -1) {
    if (option == CLI_WRONG)
      return EXIT_USAGE;
    if (option == CLI_HELP) {
      fputs(help_text, stdout);
      return -1;
    }
    take_option(options, option);
  }
  options->id = optind < argc ? argv[optind] : NULL;
  options->event = optind + 1 < argc ? argv[optind + 1] : NULL;
  return argc - optind > 2 ? cli_usage("session answer", "unexpected \"%s\"", argv[optind + 2])
                           : check_options(options);
}

/* ---- What waits ----------------------------------------------------------------------------------------------- */

struct listing {
  bool json;
  size_t n;
};

static int print_waiting(void *ctx, const struct mag_waiting *waiting)
{
  struct listing *listing = ctx;
  listing->n++;
  if (!listing->json) {
    printf("%s %s, waits for %s\n", waiting->event_id, waiting->tool,
           waiting->wants_result ? "its result" : "a yes or no");
    question_show_input(stdout, mbp_str(waiting->input));
    return 0;
  }
  mag_autowriter w = mag_writer_new();
  struct mbp_str text;
  mag_writer_object(w, NULL);
  mag_writer_string(w, "event_id", mbp_str(waiting->event_id));
  mag_writer_string(w, "name", mbp_str(waiting->tool));
  mag_writer_string(w, "waits_for", mbp_str(waiting->wants_result ? "result" : "confirmation"));
  mag_writer_raw(w, "input", mbp_str(waiting->input));
  mag_writer_end(w);
  if (mag_writer_text(w, &text) < 0)
    return -MBP_E_NO_MEMORY;
  printf("%.*s\n", (int) text.len, text.ptr);
  return 0;
}

static int list(struct mag_engine *engine, const struct options *options, struct mbp_error *err)
{
  struct listing listing = {.json = options->json};
  int r = mag_answer_each(engine, options->id, print_waiting, &listing, err);
  if (r == 0 && listing.n == 0 && !options->json)
    printf("nothing waits in session %s\n", options->id);
  return r;
}

/* ---- Answering ------------------------------------------------------------------------------------------------ */

static int read_result(const char *argument, struct mag_buf *text, struct mbp_error *err)
{
  char chunk[65536];
  size_t n;
  if (strcmp(argument, "-") != 0)
    mag_buf_add_text(text, argument);
  else
    while (text->len <= RESULT_MAX && (n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
      mag_buf_add(text, chunk, n);
  if (text->failed)
    return mag_error_no_memory(err);
  if (text->len > RESULT_MAX)
    return mag_error(err, MBP_E_LIMIT, "the result is larger than %u MiB", RESULT_MAX >> 20);
  while (text->len && text->ptr[text->len - 1] == '\n')
    text->ptr[--text->len] = 0;
  if (!mag_utf8_valid(text->len ? text->ptr : "", text->len) || (text->len && memchr(text->ptr, 0, text->len)))
    return mag_error(err, MBP_E_INVALID, "the result is not UTF-8 text");
  return 0;
}

static int take_result(const struct options *options, struct mag_custom_answer *ret_answer, struct mbp_error *err)
{
  mag_autobuf text = MAG_BUF_INIT;
  bool found = false;
  int r = read_result(options->result, &text, err);
  if (r == 0)
    r = mag_custom_parse_answer(mag_buf_str(&text), &found, ret_answer, err);
  if (r == 0 && !found)
    ret_answer->content = mag_custom_text_content(mag_buf_str(&text));
  ret_answer->is_error |= options->error;
  return r < 0 || ret_answer->content ? r : mag_error_no_memory(err);
}

static int give(struct mag_engine *engine, const struct options *options, struct mbp_error *err)
{
  struct mag_custom_answer result = {NULL, false};
  struct mag_given_answer answer = {
      .event_id = options->event,
      .reply = {.answer = options->allow, .always = options->always, .message = (char *) (uintptr_t) options->message}};
  char event[MAG_ID_SIZE] = "";
  int r = options->result ? take_result(options, &result, err) : 0;
  answer.content = mbp_str(result.content);
  answer.is_error = result.is_error;
  if (r == 0)
    r = mag_answer_give(engine, options->id, &answer, event, err);
  free(result.content);
  if (r < 0)
    return r;
  const char *what = options->result ? "result" : options->allow ? "allow" : "deny";
  if (options->json)
    printf("{\"event_id\":\"%s\",\"answer\":\"%s\"}\n", event, what);
  else
    printf("%s: %s; `magent session resume %s` goes on, unless it runs\n", event, what, options->id);
  return 0;
}

int cli_session_answer(struct cli *cli, int argc, char **argv)
{
  struct options options = {0};
  struct mbp_error err = MAG_ERROR_INIT;
  int status = read_options(&options, argc, argv);
  if (status)
    return status < 0 ? EXIT_OK : status;
  struct mag_engine *engine = cli_engine(cli);
  if (!engine)
    return EXIT_ERROR;
  bool answers = options.allow || options.deny || options.result;
  int r = answers ? give(engine, &options, &err) : list(engine, &options, &err);
  mag_engine_free(engine);
  return r < 0 ? cli_fail_session(&err) : EXIT_OK;
}
