/* The scripted model: the file format, which reply is chosen, how it is played, and what is built in. */
#include "../llm-common/llm_test.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "host/call.h"
#include "host/config.h"
#include "host/host.h"
#include "play.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int parse(const char *text, struct script **ret_script, struct mbp_error *err)
{
  *err = (struct mbp_error) MAG_ERROR_INIT;
  return script_parse(&mag_json_table, "s.jsonl", mbp_str(text), ret_script, err);
}

static struct script *parsed(const char *text)
{
  struct script *script = NULL;
  struct mbp_error err;
  ck_assert_msg(parse(text, &script, &err) == 0, "%s", err.message);
  return script;
}

START_TEST(scripts_are_lines_an_array_or_a_document)
{
  static const char *const texts[] = {
      "# a comment\n\n{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
      "[{\"text\":\"a\"},{\"steps\":[{\"text\":\"b\"}]}]",
      "# a comment\n{\"loop\":false,\n \"replies\":[{\"text\":\"a\"},\n{\"text\":\"b\"}]}\n",
  };
  for (size_t i = 0; i < 3; i++) {
    struct script *script = parsed(texts[i]);
    ck_assert_uint_eq(script->n, 2);
    ck_assert_str_eq(script->replies[1].steps[0].text, "b");
    script_free(script);
  }
  struct script *script = parsed("{\n \"text\": \"alone\"\n}\n");
  ck_assert_uint_eq(script->n, 1);
  script_free(script);
}
END_TEST

START_TEST(a_wrong_script_is_refused_with_its_place)
{
  static const struct {
    const char *text, *says;
  } table[] = {
      {"", "s.jsonl: the script holds no reply"},
      {"{\"text\":\"a\"}\n\n{\"txt\":\"b\"}\n", "s.jsonl:3: unknown key of a reply \"txt\"; did you mean \"text\"?"},
      {"{\"text\":\"a\"}\n{\"text\":}\n", "s.jsonl:2: invalid JSON"},
      {"[{\"text\":\"a\"},\n{\"text\":3}]", "s.jsonl:2: \"text\" must be a string"},
      {"# c\n{\"replies\":[\n{\"text\":\"a\"},\n{\"steps\":[{}]}]}", "s.jsonl:4: a step needs one of"},
      {"[\n\n{\"text\" \"a\"}]", "s.jsonl:3: invalid JSON"},
      {"[3]", "s.jsonl:1: a reply must be an object"},
      {"{\"replies\":3}", "\"replies\" must be an array"},
      {"{\"replies\":[],\"loops\":true}", "did you mean \"loop\""},
      {"{\"steps\":[{\"text\":\"a\",\"delay_ms\":5}]}", "a step does one thing"},
      {"{\"steps\":[{\"text\":\"a\",\"chunk\":0}]}", "\"chunk\" must be a whole number from 1"},
      {"{\"tool_call\":{\"input\":{}}}", "\"tool_call\" must be an object with a \"name\""},
      {"{\"tool_call\":{\"name\":\"x\",\"input\":[]}}", "\"input\" must be an object"},
      {"{\"error\":{\"code\":\"rat\"}}", "did you mean \"rate\""},
      {"{\"error\":{\"status\":200}}", "\"status\" must be a whole number from 400"},
      {"{\"text\":\"a\",\"stop\":\"never\"}", "\"stop\" must be one of"},
      {"{\"text\":\"a\",\"usage\":{\"in\":1}}", "unknown key of usage"},
      {"{\"text\":\"a\",\"repeat\":0}", "\"repeat\" must be"},
      {"{\"block\":{}}", "\"block\" must be a content block"},
      {"{\"text\":\"\xff\"}", "s.jsonl:1: invalid JSON"},
  };
  for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct script *script = NULL;
    struct mbp_error err;
    ck_assert_msg(parse(table[i].text, &script, &err) == -MBP_E_INVALID, "%zu: accepted", i);
    ck_assert_msg(strstr(err.message, table[i].says) != NULL, "%zu: %s", i, err.message);
    ck_assert_ptr_null(script);
  }
}
END_TEST

static const char *chosen(const struct script *script, const char *user, size_t assistants, size_t in_turn)
{
  struct script_reply *reply = script_choose(script, mbp_str(user), assistants, in_turn);
  return reply ? reply->steps[0].text : "none";
}

START_TEST(replies_are_chosen_by_match_then_by_number)
{
  struct script *script =
      parsed("{\"text\":\"1\",\"repeat\":2}\n{\"match\":\"*weather*\",\"text\":\"w1\"}\n{\"text\":\"2\"}\n"
             "{\"match\":\"*weather*\",\"text\":\"w2\"}\n{\"match\":\"b?g\",\"text\":\"big\"}\n");
  ck_assert_str_eq(chosen(script, "hi", 0, 0), "1");
  ck_assert_str_eq(chosen(script, "hi", 1, 0), "1");
  ck_assert_str_eq(chosen(script, "hi", 2, 0), "2");
  ck_assert_str_eq(chosen(script, "hi", 3, 0), "none");
  ck_assert_str_eq(chosen(script, "What WEATHER is it?", 7, 0), "w1");
  ck_assert_str_eq(chosen(script, "What weather is it?", 8, 1), "w2");
  ck_assert_str_eq(chosen(script, "What weather is it?", 9, 2), "none");
  ck_assert_str_eq(chosen(script, "bug", 0, 0), "big");
  ck_assert_str_eq(chosen(script, "bugs", 0, 0), "1");
  script->loop = 1;
  ck_assert_str_eq(chosen(script, "hi", 3, 0), "1");
  ck_assert_str_eq(chosen(script, "hi", 5, 0), "2");
  ck_assert_str_eq(chosen(script, "weather", 9, 2), "w1");
  script_free(script);
}
END_TEST

/* ---- Playing -------------------------------------------------------------------------------------------------- */

#define USER(text)                                                                                                     \
  {                                                                                                                    \
    MBP_ROLE_USER, 0, mbp_str("[{\"type\":\"text\",\"text\":\"" text "\"}]")                                           \
  }
#define CALLED                                                                                                         \
  {                                                                                                                    \
    MBP_ROLE_ASSISTANT, 0, mbp_str("[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"bash\",\"input\":{}}]")            \
  }
#define RESULT(text, is_error)                                                                                         \
  {                                                                                                                    \
    MBP_ROLE_USER, 0,                                                                                                  \
        mbp_str("[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":\"text\",\"text\":\"" text    \
                "\"}],\"is_error\":" #is_error "}]")                                                                   \
  }

static const struct mbp_tool tools[] = {{{"bash", 4}, {0}, {"{}", 2}}, {{"write", 5}, {0}, {"{}", 2}}};

static void ask(const char *config, const char *model, const struct mbp_message *messages, size_t n, size_t n_tools,
                struct test_outcome *outcome)
{
  struct mbp_llm_request request = {.size = MBP_SIZE(struct mbp_llm_request, params),
                                    .model = mbp_str(model),
                                    .messages = messages,
                                    .n_messages = n,
                                    .tools = tools,
                                    .n_tools = n_tools};
  test_generate(mbp_plugin_v0(), config, &request, outcome);
}

/* A script in a file of its own. */
static char config_text[256];
static const char *with_script(const char *text)
{
  static char path[64];
  (void) snprintf(path, sizeof(path), "scripted_test.%d.tmp", (int) getpid());
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  (void) fputs(text, file);
  (void) fclose(file);
  (void) snprintf(config_text, sizeof(config_text), "{\"script\":\"%s\"}", path);
  return path;
}

START_TEST(a_reply_is_played_step_by_step)
{
  const char *path =
      with_script("{\"steps\":[{\"thinking\":\"hm\"},{\"text\":\"caf\xc3\xa9!\",\"chunk\":4},{\"delay_ms\":1},"
                  "{\"tool_call\":{\"name\":\"bash\",\"input\":{\"n\":1.00}}},{\"tool_call\":{\"name\":\"x\",\"id\":"
                  "\"my-id\"}},{\"block\":{\"type\":\"odd\",\"n\":2.0}}],\"usage\":{\"input\":3,\"output\":4,"
                  "\"cache_read\":5,\"cache_write\":6},\"model\":\"fake-1\"}");
  struct mbp_message messages[] = {USER("go")};
  struct test_outcome o = {0};
  ask(config_text, "scripted", messages, 1, 2, &o);
  ck_assert_msg(o.r == 0, "%s", o.err.message);
  ck_assert_str_eq(
      o.content, "[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"scripted\"},"
                 "{\"type\":\"text\",\"text\":\"caf\xc3\xa9!\"},"
                 "{\"type\":\"tool_use\",\"id\":\"toolu_scripted_0_0\",\"name\":\"bash\",\"input\":{\"n\":1.00}},"
                 "{\"type\":\"tool_use\",\"id\":\"my-id\",\"name\":\"x\",\"input\":{}},{\"type\":\"odd\",\"n\":2.0}]");
  ck_assert_str_eq(o.shown.text, "thinking 0 hm\ntext 1 caf\xc3\xa9\ntext 1 !\nstart 2 bash toolu_scripted_0_0\n"
                                 "input 2 {\"n\":1.00}\nstart 3 x my-id\ninput 3 {}\n");
  ck_assert_uint_eq(o.stop, MBP_STOP_TOOL_USE);
  ck_assert_int_eq(o.usage.input, 3);
  ck_assert_int_eq(o.usage.cache_write, 6);
  ck_assert_str_eq(o.model, "fake-1");
  (void) unlink(path);
}
END_TEST

START_TEST(what_was_said_can_be_quoted)
{
  const char *path = with_script(
      "{\"text\":\"x\"}\n{\"text\":\"You: {{user}} got: {{tool_result}} {{other}}\",\"tool_call\":{\"name\":"
      "\"echo\",\"input\":{\"s\":\"<{{tool_result}}>\"}}}\n");
  struct mbp_message messages[] = {USER("hi"), CALLED, RESULT("say \\\"yes\\\"\\n", false)};
  struct test_outcome o = {0};
  ask(config_text, "scripted", messages, 3, 2, &o);
  ck_assert_msg(o.r == 0, "%s", o.err.message);
  ck_assert_str_eq(o.content,
                   "[{\"type\":\"text\",\"text\":\"You: hi got: say \\\"yes\\\"\\n {{other}}\"},"
                   "{\"type\":\"tool_use\",\"id\":\"toolu_scripted_1_0\",\"name\":\"echo\",\"input\":{\"s\":\"<say "
                   "\\\"yes\\\"\\n>\"}}]");
  ask(config_text, "scripted", messages, 3, 2, &o); /* nothing is remembered */
  ck_assert_int_eq(o.r, 0);
  struct mbp_message more[] = {USER("hi"), CALLED, RESULT("x", false), CALLED, RESULT("x", false)};
  ask(config_text, "scripted", more, 5, 2, &o);
  ck_assert_int_eq(o.r, -MBP_E_NOT_FOUND);
  ck_assert_ptr_nonnull(strstr(o.err.message, "request 3"));
  (void) unlink(path);
}
END_TEST

START_TEST(what_was_said_earlier_is_recalled)
{
  struct mbp_message messages[] = {USER("my color is red"), CALLED, USER("No, my color is  dark \\\"blue\\\". Yes."),
                                   CALLED, USER("What is my color?")};
  struct test_outcome o = {0};
  const char *path =
      with_script("{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"<{{recall:My color is}}> <{{recall:not said}}> "
                  "{{recall:}} {{recall\"}");
  ask(config_text, "scripted", messages, 5, 2, &o);
  ck_assert_msg(o.r == 0, "%s", o.err.message);
  ck_assert_str_eq(o.content, "[{\"type\":\"text\",\"text\":\"<dark \\\"blue\\\"> <> {{recall:}} {{recall\"}]");
  (void) unlink(path);
}
END_TEST

START_TEST(errors_are_played_as_written_and_may_pass)
{
  struct script *script =
      parsed("{\"error\":{\"status\":529,\"message\":\"busy\",\"retry_after_ms\":70,\"times\":2},\"text\":\"ok\"}");
  struct view view = {0};
  for (int i = 0; i < 3; i++) {
    struct play play = {.json = &mag_json_table};
    struct mbp_error err = MAG_ERROR_INIT;
    int r = play_reply(&play, &script->replies[0], &view, &err);
    ck_assert_int_eq(r, i < 2 ? -MBP_E_OVERLOADED : 0);
    if (i < 2) {
      ck_assert_str_eq(err.message, "busy");
      ck_assert_uint_eq(err.flags, MBP_ERR_RETRYABLE);
      ck_assert_int_eq(err.upstream_status, 529);
      ck_assert_int_eq(err.retry_after_ms, 70);
    }
    play_done(&play);
  }
  script_free(script);
  script = parsed("{\"error\":{\"code\":\"auth\",\"retryable\":true}}");
  ck_assert_int_eq(script->replies[0].steps[0].error.code, MBP_E_AUTH);
  ck_assert_uint_eq(script->replies[0].steps[0].error.flags, MBP_ERR_RETRYABLE);
  script_free(script);
}
END_TEST

START_TEST(stops_can_be_chosen)
{
  static const char *const names[] = {
      "end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", "stop_sequence"};
  static const uint32_t stops[] = {MBP_STOP_END_TURN, MBP_STOP_TOOL_USE, MBP_STOP_MAX_TOKENS, MBP_STOP_REFUSAL,
                                   MBP_STOP_PAUSE,    MBP_STOP_CONTEXT,  MBP_STOP_SEQUENCE};
  for (size_t i = 0; i < 7; i++) {
    char text[128];
    (void) snprintf(text, sizeof(text), "{\"text\":\"a\",\"stop\":\"%s\"}", names[i]);
    struct script *script = parsed(text);
    ck_assert_uint_eq(script->replies[0].stop, stops[i]);
    script_free(script);
  }
}
END_TEST

static void *cancel_soon(void *call)
{
  usleep(50000);
  mag_call_cancel(call);
  return NULL;
}

START_TEST(a_pause_ends_when_the_call_is_cancelled)
{
  const char *path = with_script("{\"delay_ms\":600000,\"text\":\"late\"}");
  static const struct mbp_host *host; /* lives until the process ends */
  const struct mbp_plugin *plugin = mbp_plugin_v0();
  struct mbp_config *config = NULL;
  struct mbp_instance *instance = NULL;
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_message messages[] = {USER("go")};
  struct mbp_llm_request request = {.size = MBP_SIZE(struct mbp_llm_request, params),
                                    .model = mbp_str("scripted"),
                                    .messages = messages,
                                    .n_messages = 1};
  ck_assert_int_eq(mag_config_new("scripted", plugin->params, mbp_str(config_text), &config, &err), 0);
  host = host ? host : mag_host_for("scripted");
  ck_assert_int_eq(plugin->open(host, config, &instance, &err), 0);
  struct mag_call_options options = {0};
  struct mbp_call *call = mag_call_new(&options);
  pthread_t thread;
  int64_t before = mag_clock_monotonic_ms();
  ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, call), 0);
  int r = ((const struct mbp_llm_ops *) plugin->ops)->generate(instance, call, &request, &err);
  r = mag_call_wait(call, r, NULL, &err);
  ck_assert_int_eq(r, -MBP_E_CANCELLED);
  ck_assert_int_lt(mag_clock_monotonic_ms() - before, 10000);
  (void) pthread_join(thread, NULL);
  mag_call_unref(call);
  plugin->close(instance);
  mag_config_free(config);
  (void) unlink(path);
}
END_TEST

START_TEST(scripts_that_are_not_there_or_no_files_are_told)
{
  struct mbp_message messages[] = {USER("go")};
  struct test_outcome o = {0};
  ask("{\"script\":\"/nonexistent/s.jsonl\"}", "scripted", messages, 1, 0, &o);
  ck_assert_int_eq(o.r, -MBP_E_NOT_FOUND);
  ck_assert_ptr_nonnull(strstr(o.err.message, "/nonexistent/s.jsonl"));
  ask("{\"script\":\"/dev\"}", "scripted", messages, 1, 0, &o);
  ck_assert_ptr_nonnull(strstr(o.err.message, "not a regular file"));
}
END_TEST

/* ---- Built in ------------------------------------------------------------------------------------------------- */

#define PROMPT "Write a Python script that prints Hello World and run it"

START_TEST(the_demonstration_writes_runs_and_quotes)
{
  struct mbp_message messages[] = {USER(PROMPT), CALLED, RESULT("wrote 21 bytes", false), CALLED,
                                   RESULT("Hello World\\n", false)};
  struct test_outcome o = {0};
  ask("", "scripted", messages, 1, 2, &o);
  ck_assert_int_eq(o.r, 0);
  ck_assert_uint_eq(o.stop, MBP_STOP_TOOL_USE);
  ck_assert_ptr_nonnull(
      strstr(o.content, "\"name\":\"write\",\"input\":{\"file_path\":\"hello.py\",\"content\":\"print("));
  ck_assert_ptr_nonnull(strstr(o.shown.text, "text 0 I'll write"));
  ask("", "scripted", messages, 3, 2, &o);
  ck_assert_ptr_nonnull(strstr(o.content, "\"name\":\"bash\",\"input\":{\"command\":\"python3 hello.py\"}"));
  ask("", "scripted", messages, 5, 2, &o);
  ck_assert_uint_eq(o.stop, MBP_STOP_END_TURN);
  ck_assert_ptr_nonnull(strstr(o.content, "it printed:\\n\\nHello World\\n\"}"));
}
END_TEST

START_TEST(the_demonstration_is_honest_about_failures)
{
  struct mbp_message messages[] = {USER(PROMPT), CALLED, RESULT("disk full", true)};
  struct mbp_message later[] = {USER(PROMPT), CALLED, RESULT("ok", false), CALLED, RESULT("python3: not found", true)};
  struct mbp_message other[] = {USER("What is the weather?")};
  struct test_outcome o = {0};
  ask("", "scripted", messages, 3, 2, &o);
  ck_assert_ptr_nonnull(strstr(o.content, "I could not write the script:\\n\\ndisk full"));
  ask("", "scripted", later, 5, 2, &o);
  ck_assert_ptr_nonnull(strstr(o.content, "python3: not found"));
  ck_assert_uint_eq(o.stop, MBP_STOP_END_TURN);
  ask("", "scripted", messages, 1, 1, &o); /* without write */
  ck_assert_uint_eq(o.stop, MBP_STOP_END_TURN);
  ck_assert_ptr_nonnull(strstr(o.content, "not switched on"));
  ask("", "scripted", other, 1, 2, &o);
  ck_assert_ptr_nonnull(strstr(o.content, "scripted stand-in"));
  ck_assert_ptr_nonnull(strstr(o.content, "ANTHROPIC_API_KEY"));
}
END_TEST

START_TEST(other_models_are_built_in_whatever_the_script)
{
  const char *path = with_script("{\"text\":\"from the file\"}");
  struct mbp_message messages[] = {USER("hi \\\"there\\\"")};
  struct test_outcome o = {0};
  ask(config_text, "scripted-echo", messages, 1, 0, &o);
  ck_assert_str_eq(o.content, "[{\"type\":\"text\",\"text\":\"hi \\\"there\\\"\"}]");
  ask(config_text, "scripted-endless", messages, 1, 1, &o);
  ck_assert_ptr_nonnull(strstr(o.content, "echo step 1"));
  ask(config_text, "scripted-error", messages, 1, 1, &o);
  ck_assert_int_eq(o.r, -MBP_E_OVERLOADED);
  ck_assert_uint_eq(o.err.flags, MBP_ERR_RETRYABLE);
  ask(config_text, "scripted", messages, 1, 1, &o);
  ck_assert_str_eq(o.content, "[{\"type\":\"text\",\"text\":\"from the file\"}]");
  (void) unlink(path);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("llm-scripted");
  TCase *t = tcase_create("script");
  tcase_add_test(t, scripts_are_lines_an_array_or_a_document);
  tcase_add_test(t, a_wrong_script_is_refused_with_its_place);
  tcase_add_test(t, replies_are_chosen_by_match_then_by_number);
  tcase_add_test(t, stops_can_be_chosen);
  suite_add_tcase(suite, t);
  t = tcase_create("play");
  tcase_set_timeout(t, 30);
  tcase_add_test(t, a_reply_is_played_step_by_step);
  tcase_add_test(t, what_was_said_can_be_quoted);
  tcase_add_test(t, what_was_said_earlier_is_recalled);
  tcase_add_test(t, errors_are_played_as_written_and_may_pass);
  tcase_add_test(t, a_pause_ends_when_the_call_is_cancelled);
  tcase_add_test(t, scripts_that_are_not_there_or_no_files_are_told);
  suite_add_tcase(suite, t);
  t = tcase_create("built in");
  tcase_add_test(t, the_demonstration_writes_runs_and_quotes);
  tcase_add_test(t, the_demonstration_is_honest_about_failures);
  tcase_add_test(t, other_models_are_built_in_whatever_the_script);
  suite_add_tcase(suite, t);
  return test_run(suite);
}
