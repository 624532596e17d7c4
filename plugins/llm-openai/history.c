#include "history.h"

#include <pthread.h>
#include <stdlib.h>

#define HISTORY_MAX ((size_t) 16 << 20) /* bytes of messages; what comes behind is written anew each time */

/* Of a message in `source`; its content follows. */
struct entry {
  uint32_t role;
  size_t len;
};

struct openai_history {
  pthread_mutex_t lock;
  struct llm_buf source, text;
  size_t n; /* messages */
};

struct openai_history *openai_history_new(void)
{
  struct openai_history *history = calloc(1, sizeof(*history));
  if (history)
    (void) pthread_mutex_init(&history->lock, NULL);
  return history;
}

static void forget(struct openai_history *history)
{
  llm_buf_done(&history->source);
  llm_buf_done(&history->text);
  history->n = 0;
}

void openai_history_free(struct openai_history *history)
{
  if (!history)
    return;
  forget(history);
  (void) pthread_mutex_destroy(&history->lock);
  free(history);
}

static int is_known(const struct openai_history *history, const struct mbp_llm_request *request)
{
  const char *at = history->source.ptr;
  if (history->n > request->n_messages)
    return 0;
  for (size_t i = 0; i < history->n; i++) {
    const struct mbp_message *message = &request->messages[i];
    struct entry entry;
    memcpy(&entry, at, sizeof(entry));
    at += sizeof(entry);
    if (entry.role != message->role || entry.len != message->content.len ||
        (entry.len && memcmp(at, message->content.ptr, entry.len) != 0))
      return 0;
    at += entry.len;
  }
  return 1;
}

int openai_history_take(struct openai_history *history, const struct mbp_llm_request *request, size_t *ret_n,
                        struct mbp_str *ret_text)
{
  if (!history || pthread_mutex_trylock(&history->lock) != 0)
    return 0;
  if (!is_known(history, request))
    forget(history);
  *ret_n = history->n;
  *ret_text = llm_buf_view(&history->text);
  return 1;
}

void openai_history_give(struct openai_history *history, const struct mbp_llm_request *request, size_t n,
                         struct mbp_str text)
{
  size_t more = 0;
  for (size_t i = history->n; i < n; i++)
    more += sizeof(struct entry) + request->messages[i].content.len;
  if (n > history->n && history->source.len + more <= HISTORY_MAX) {
    for (size_t i = history->n; i < n; i++) {
      struct entry entry;
      memset(&entry, 0, sizeof(entry));
      entry.role = request->messages[i].role;
      entry.len = request->messages[i].content.len;
      llm_buf_add(&history->source, &entry, sizeof(entry));
      llm_buf_str(&history->source, request->messages[i].content);
    }
    llm_buf_str(&history->text, text);
    history->n = n;
    if (history->source.failed || history->text.failed)
      forget(history);
  }
  (void) pthread_mutex_unlock(&history->lock);
}
