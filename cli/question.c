#include "question.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli.h"
#include "interrupt.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_READ 4096
#define LOOK_MS 500 /* how often it is looked whether somebody else has answered */

bool question_possible(void)
{
  return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* ---- Showing -------------------------------------------------------------------------------------------------- */

/* Characters that show nothing, or make others appear in another order than they are read in. */
static bool is_invisible(uint32_t c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe0fff);
}

/* One character of valid UTF-8. */
static size_t next_character(struct mbp_str text, size_t at, uint32_t *ret_character)
{
  const unsigned char *s = (const unsigned char *) text.ptr + at;
  size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  uint32_t c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
  for (size_t i = 1; i < len; i++)
    c = c << 6 | (s[i] & 0x3f);
  *ret_character = c;
  return len;
}

/* Text of others, with every line of it set apart from ours. */
static void show_text(FILE *stream, struct mbp_str text)
{
  uint32_t c;
  for (size_t at = 0, len; at < text.len; at += len) {
    len = next_character(text, at, &c);
    if (c == '\n' && at + 1 < text.len)
      fputs("\n    | ", stream);
    else if (c == '\n')
      fputs("\\n", stream);
    else if (c == '\t')
      fputs("\\t", stream);
    else if (is_invisible(c))
      fprintf(stream, c > 0xffff ? "\\u{%x}" : "\\u%04x", c);
    else
      fwrite(text.ptr + at, 1, len, stream);
  }
}

void question_show_input(FILE *stream, struct mbp_str input)
{
  mag_autojson json = NULL;
  struct mbp_str value;
  size_t at = 0;
  if (mag_json_parse(input, &json, NULL) < 0) {
    show_text(stream, input);
    return;
  }
  for (const struct mbp_json *i = mag_json_first(json); i && mag_json_step(input, &at, NULL, &value);
       i = mag_json_next(i)) {
    fputs("  ", stream);
    show_text(stream, mag_json_key(i));
    fputs(": ", stream);
    if (mag_json_type(i) == MBP_JSON_STRING && memchr(mag_json_str(i).ptr, '\n', mag_json_str(i).len))
      fputs("\n    | ", stream);
    show_text(stream, mag_json_type(i) == MBP_JSON_STRING ? mag_json_str(i) : value);
    fputc('\n', stream);
  }
}

/* ---- Asking --------------------------------------------------------------------------------------------------- */

/* Has another process answered? What it said stands in the inbox then. */
static bool answered_elsewhere(struct mag_session *session, const char *event_id)
{
  const struct mag_state *state = &session->log.state;
  struct mbp_str use;
  mag_autofree char *quoted = mag_sprintf("\"%s\"", event_id);
  if (!quoted || mag_session_refresh(session, NULL) < 0)
    return false;
  for (size_t i = 0; i < state->n_inbox; i++)
    if (strcmp(state->inbox[i].type, MAG_EV_USER_CONFIRMATION) == 0 &&
        mag_json_slice(mbp_str(state->inbox[i].payload), "tool_use_id", &use) && mbp_str_eq(use, quoted))
      return true;
  return false;
}

enum heard { HEARD_LINE, HEARD_END, HEARD_OTHERS };

/* A line from the terminal, byte by byte: what follows is for the next question. */
static enum heard read_line(struct question *question, const char *event_id, int interrupt_fd, char line[LINE_MAX_READ])
{
  size_t n = 0;
  for (;;) {
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
    int ready = poll(fds, 2, LOOK_MS);
    if (ready < 0 || fds[1].revents)
      return HEARD_END;
    if (ready == 0) {
      if (answered_elsewhere(question->session, event_id))
        return HEARD_OTHERS;
      continue;
    }
    char c;
    if (read(STDIN_FILENO, &c, 1) != 1)
      return HEARD_END;
    if (c == '\n')
      break;
    if (n < LINE_MAX_READ - 1)
      line[n++] = c;
  }
  while (n && line[n - 1] == ' ')
    n--;
  line[n] = 0;
  return HEARD_LINE;
}

/* False: not understood. */
static bool understand(const char *line, struct mag_reply *reply)
{
  static const char *const yes[] = {"y", "yes", "Y"}, *const no[] = {"n", "no", "N"};
  static const char *const always[] = {"a", "always", "A"};
  for (size_t i = 0; i < 3; i++) {
    if (strcmp(line, yes[i]) == 0 || strcmp(line, always[i]) == 0) {
      *reply = (struct mag_reply){.answer = 1, .always = strcmp(line, always[i]) == 0};
      return true;
    }
    if (strcmp(line, no[i]) == 0) {
      reply->answer = 0;
      return true;
    }
  }
  if (!strchr(line, ' ') || !mag_utf8_valid(line, strlen(line)))
    return false; /* one word is more likely a slip than a reason */
  reply->answer = 0;
  reply->message = mag_str_dup(mbp_str(line));
  return true;
}

static void ask(void *ctx, const struct mag_question *asked, struct mag_reply *reply)
{
  struct question *question = ctx;
  char line[LINE_MAX_READ];
  enum heard heard = HEARD_LINE;
  if (question->left)
    return;
  render_break(&question->render);
  fprintf(stderr, "\nMay %s run%s?\n", asked->tool, asked->on_host ? " ON THIS MACHINE, outside of the sandbox" : "");
  question_show_input(stderr, mbp_str(asked->input));
  int interrupt_fd = interrupt_ask_begin();
  do {
    fputs("[y]es, [n]o, [a]lways in this session, or why not, in words: ", stderr);
    fflush(stderr);
    heard = read_line(question, asked->event_id, interrupt_fd, line);
  } while (heard == HEARD_LINE && !understand(line, reply));
  interrupt_ask_end();
  if (heard != HEARD_LINE)
    fputs(heard == HEARD_OTHERS ? "\n(answered elsewhere)\n" : "\n", stderr);
  question->left = heard == HEARD_END;
}

void question_observe(struct question *question, struct mag_observer *observer)
{
  observer->ctx = question;
  observer->ask = ask;
}
