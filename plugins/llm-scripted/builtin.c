/* What is built in, by the model's name: scripted, scripted-echo, scripted-endless, scripted-error. */
#include "play.h"

static const char stand_in[] = "I am a scripted stand-in, not a language model: I can only play a small demonstration "
                               "(ask for a Python script that "
                               "prints Hello World). For a real model set ANTHROPIC_API_KEY, or OPENAI_API_KEY, or "
                               "OPENAI_BASE_URL for a local server, "
                               "and choose one with --model.";

static int say(struct play *play, const char *text, struct mbp_error *err)
{
  return play_text(play, MBP_EV_LLM_TEXT, mbp_str(text), 0, 0, err);
}

static int is_offered(const struct mbp_llm_request *request, const char *tool)
{
  for (size_t i = 0; i < request->n_tools; i++)
    if (mbp_str_eq(request->tools[i].name, tool))
      return 1;
  return 0;
}

static int asks_for_demo(const struct view *view)
{
  static const char *const words[] = {"script", "python", "hello", NULL};
  for (size_t i = 0; words[i] && view->user.len; i++)
    if (strcasestr(view->user.ptr, words[i]))
      return 1;
  return 0;
}

/* Says text with the tool result in the middle, cut to what a reader wants to see. */
static int say_result(struct play *play, const char *before, const struct view *view, const char *after,
                      struct mbp_error *err)
{
  llm_autobuf text = {0};
  struct mbp_str result = llm_buf_view(&view->result);
  while (result.len && llm_is_blank(mbp_str_n(result.ptr + result.len - 1, 1)))
    result.len--;
  if (result.len > 2000)
    for (result.len = 2000; result.len && ((unsigned char) result.ptr[result.len] & 0xc0) == 0x80;)
      result.len--;
  llm_buf_text(&text, before);
  llm_buf_str(&text, result);
  llm_buf_text(&text, after);
  return text.failed ? llm_no_memory(err) : play_text(play, MBP_EV_LLM_TEXT, llm_buf_view(&text), 0, 0, err);
}

static int demo(struct play *play, const struct mbp_llm_request *request, const struct view *view,
                struct mbp_error *err)
{
  if (!asks_for_demo(view))
    return say(play, stand_in, err);
  if (!is_offered(request, "write") || !is_offered(request, "bash"))
    return say(play, "Here is the script, which I cannot run because the tools write and bash are not switched on:\n\n"
                     "```python\nprint(\"Hello World\")\n```\n", err);
  if (view->in_turn > 0 && view->has_result && view->failed)
    return view->in_turn == 1
               ? say_result(play, "I could not write the script:\n\n", view, "\n", err)
               : say_result(play, "I wrote hello.py, but it could not be run; is python3 in the sandbox?\n\n", view,
                            "\n", err);
  if (view->in_turn == 0) {
    int r = say(play, "I'll write a small Python script and run it.", err);
    return r < 0
               ? r
               : play_call(play, mbp_str("write"), mbp_str(""),
                           mbp_str("{\"file_path\":\"hello.py\",\"content\":\"print(\\\"Hello World\\\")\\n\"}"), err);
  }
  if (view->in_turn == 1)
    return play_call(play, mbp_str("bash"), mbp_str(""), mbp_str("{\"command\":\"python3 hello.py\"}"), err);
  return say_result(play, "Done. I wrote hello.py and ran it; it printed:\n\n", view, "\n", err);
}

static int endless(struct play *play, const struct mbp_llm_request *request, const struct view *view,
                   struct mbp_error *err)
{
  llm_autobuf input = {0};
  llm_buf_printf(&input, "{\"command\":\"echo step %zu\"}", view->in_turn + 1);
  if (request->n_tools == 0)
    return say(play, "I would call a tool in every step, but there is none.", err);
  return play_call(play, is_offered(request, "bash") ? mbp_str("bash") : request->tools[0].name, mbp_str(""),
                   llm_buf_view(&input), err);
}

int play_builtin(struct play *play, const struct mbp_llm_request *request, const struct view *view,
                 struct mbp_error *err)
{
  if (mbp_str_eq(request->model, "scripted-echo"))
    return play_text(play, MBP_EV_LLM_TEXT, llm_buf_view(&view->user), 0, 0, err);
  if (mbp_str_eq(request->model, "scripted-endless"))
    return endless(play, request, view, err);
  if (mbp_str_eq(request->model, "scripted-error")) {
    (void) llm_error_retry(err, MBP_E_OVERLOADED, "scripted-error is always overloaded");
    err->upstream_status = 529;
    return -MBP_E_OVERLOADED;
  }
  return demo(play, request, view, err);
}
