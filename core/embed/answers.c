/* Answers to calls that wait, by the session's id. */
#include "agent/answer.h"
#include "agent/custom_parts.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "embed/embed.h"

int magent_answer_confirmation(struct magent *magent, const char *session_id, const char *event_id, int answer,
                               const char *message, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_given_answer given = {.event_id = event_id,
                                   .reply = {.answer = answer == MAGENT_ALLOW || answer == MAGENT_ALWAYS,
                                             .always = answer == MAGENT_ALWAYS,
                                             .message = (char *) (uintptr_t) message}}; /* only read */
  if (answer != MAGENT_ALLOW && answer != MAGENT_ALWAYS && answer != MAGENT_DENY)
    (void) mag_error(&err, MBP_E_INVALID, "an answer is MAGENT_ALLOW, MAGENT_ALWAYS or MAGENT_DENY");
  else if (mag_answer_give(magent->engine, session_id, &given, NULL, &err) == 0)
    return 0;
  return embed_fail(error, &err);
}

int magent_answer_tool(struct magent *magent, const char *session_id, const char *event_id, const char *result,
                       int is_error, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  struct mag_custom_answer answer = {0};
  bool found = false;
  int r = mag_custom_parse_answer(mbp_str(result), &found, &answer, &err);
  if (r == 0 && !found && !(answer.content = mag_custom_text_content(mbp_str(result))))
    r = mag_error_no_memory(&err);
  struct mag_given_answer given = {
      .event_id = event_id, .content = mbp_str(answer.content), .is_error = answer.is_error || is_error};
  if (r == 0)
    r = mag_answer_give(magent->engine, session_id, &given, NULL, &err);
  free(answer.content);
  return r < 0 ? embed_fail(error, &err) : 0;
}
