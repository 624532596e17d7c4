#include "play.h"

void view_done(struct view *view)
{
  llm_buf_done(&view->user);
  llm_buf_done(&view->result);
}

static int is_type(const struct mbp_json_v1 *json, const struct mbp_json *block, const char *type)
{
  return mbp_str_eq(json->str(json->get(block, "type")), type);
}

static void add_line(struct llm_buf *buf, struct mbp_str text)
{
  llm_buf_text(buf, buf->len ? "\n" : "");
  llm_buf_str(buf, text);
}

static void read_texts(const struct mbp_json_v1 *json, const struct mbp_json *content, struct llm_buf *text)
{
  for (const struct mbp_json *block = json->first(content); block; block = json->next(block))
    if (is_type(json, block, "text"))
      add_line(text, json->str(json->get(block, "text")));
}

static void read_results(const struct mbp_json_v1 *json, const struct mbp_json *content, struct view *view)
{
  for (const struct mbp_json *block = json->first(content); block; block = json->next(block)) {
    const struct mbp_json *inner = json->get(block, "content");
    if (!is_type(json, block, "tool_result"))
      continue;
    view->has_result = 1;
    view->failed |= json->truth(json->get(block, "is_error"), 0);
    if (json->type(inner) == MBP_JSON_STRING)
      add_line(&view->result, json->str(inner));
    else
      read_texts(json, inner, &view->result);
  }
}

/* Results alone, as they follow every step: the user has said nothing there. */
static int is_results(const struct mbp_json_v1 *json, struct mbp_str content)
{
  struct mbp_str type;
  return json->slice(content, "0/type", &type) && mbp_str_eq(type, "\"tool_result\"");
}

/* From the end back to the last user text, of which only the last results are taken apart: a long history costs next to
 * nothing. */
int view_read(const struct mbp_json_v1 *json, const struct mbp_llm_request *request, struct view *ret_view,
              struct mbp_error *err)
{
  struct view view = {.request = request};
  int r = 0;
  for (size_t i = 0; i < request->n_messages; i++)
    view.assistants += request->messages[i].role == MBP_ROLE_ASSISTANT;
  for (size_t i = request->n_messages; i > 0 && view.user.len == 0 && r == 0; i--) {
    const struct mbp_message *message = &request->messages[i - 1];
    struct mbp_json *content = NULL;
    if (message->role == MBP_ROLE_ASSISTANT) {
      view.in_turn++;
      continue;
    }
    if (view.in_turn && is_results(json, message->content))
      continue;
    if ((r = json->parse(message->content, &content, err)) < 0)
      break;
    if (view.in_turn == 0)
      read_results(json, content, &view);
    read_texts(json, content, &view.user);
    json->free(content);
  }
  if (r == 0 && (view.user.failed || view.result.failed))
    r = llm_no_memory(err);
  if (r < 0)
    view_done(&view);
  else
    *ret_view = view;
  return r;
}

/* The rest of the sentence behind `words` in `text`, or empty. */
static struct mbp_str behind(const char *text, const char *words)
{
  const char *found = text ? strcasestr(text, words) : NULL;
  if (!found)
    return mbp_str("");
  found += strlen(words);
  found += strspn(found, " ");
  return mbp_str_n(found, strcspn(found, ".,;!?\n"));
}

int view_recall(const struct mbp_json_v1 *json, const struct view *view, struct mbp_str words, struct llm_buf *to,
                struct mbp_error *err)
{
  const struct mbp_llm_request *request = view->request;
  llm_autobuf wanted = {0};
  struct mbp_str found = {0};
  llm_buf_str(&wanted, words);
  if (wanted.failed)
    return llm_no_memory(err);
  for (size_t i = request ? request->n_messages : 0; i > 0 && found.len == 0 && wanted.len; i--) {
    struct mbp_json *content = NULL;
    llm_autobuf text = {0};
    if (request->messages[i - 1].role != MBP_ROLE_USER)
      continue;
    int r = json->parse(request->messages[i - 1].content, &content, err);
    if (r < 0)
      return r;
    read_texts(json, content, &text);
    json->free(content);
    found = behind(text.ptr, wanted.ptr);
    llm_buf_str(to, found);
  }
  return to->failed ? llm_no_memory(err) : 0;
}
