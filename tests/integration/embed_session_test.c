/* Sessions: kept, resumed, reset. */
#include "embed_rig.h"

#include <stdlib.h>
#include <string.h>

/* behaviour 67: after a reset the next prompt begins a new session, and the agent is the same */
START_TEST(after_a_reset_the_agent_knows_nothing_of_before)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, "{\"text\":\"first\"}\n{\"text\":\"second\"}\n");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_reset_session(agent, &error), 0, error);
  expect(magent_execute(agent, "one", NULL, &error), 0, error);
  expect(magent_reset_session(agent, &error), 0, error);
  expect(magent_execute(agent, "two", &answer, &error), 0, error);
  ck_assert_str_eq(answer, "first");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

/* An id that is not known is an error, and the agent keeps what it has. */
START_TEST(resuming_a_session_that_there_is_not_changes_nothing)
{
  struct place place;
  struct magent_error error;
  char *answer = NULL;
  place_begin(&place, "{\"text\":\"first\"}\n{\"text\":\"second\"}\n");
  struct magent_agent *agent = agent_of(&place, NULL);
  expect(magent_execute(agent, "one", NULL, &error), 0, error);
  expect(magent_resume_session(agent, "sesn_nosuch", &error), -MBP_E_NOT_FOUND, error);
  expect(magent_execute(agent, "two", &answer, &error), 0, error);
  ck_assert_str_eq(answer, "second");
  free(answer);
  magent_agent_free(agent);
  place_end(&place);
}
END_TEST

TCase *embed_session_tests(void)
{
  TCase *t = tcase_create("session");
  tcase_add_test(t, after_a_reset_the_agent_knows_nothing_of_before);
  tcase_add_test(t, resuming_a_session_that_there_is_not_changes_nothing);
  return t;
}
