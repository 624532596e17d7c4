/* Script files: refused with a message, or played to legal blocks. */
#include "../../plugins/llm-scripted/play.h"

#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

static void play_all(const struct script *script)
{
  struct view view = {.has_result = 1};
  llm_buf_text(&view.user, "user \"text\"");
  llm_buf_text(&view.result, "line\nline");
  for (size_t i = 0; i < script->n && i < 50; i++) {
    struct play play = {.json = &mag_json_table, .assistants = i};
    struct mbp_usage usage = {0};
    struct mbp_llm_response response;
    struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
    if (play_reply(&play, &script->replies[i], &view, &err) == 0) {
      if (play_response(&play, &script->replies[i], &usage, &response, &err) < 0)
        abort();
      /* A key may repeat in what {{user}} fills in; syntax must hold. */
      if (mag_json_check(response.content, &err) < 0)
        abort();
    } else if (err.code == 0 || err.message[0] == 0) {
      abort();
    }
    play_done(&play);
    (void) script_choose(script, llm_buf_view(&view.user), i, i);
  }
  view_done(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  struct script *script = NULL;
  int r = script_parse(&mag_json_table, "fuzz", mbp_str_n((const char *) data, size), &script, &err);
  if (r == 0)
    play_all(script);
  else if (err.message[0] == 0)
    abort();
  script_free(script);
  return 0;
}
