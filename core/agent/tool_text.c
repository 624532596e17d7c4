#include "agent/tool_text.h"

#include "base/error.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mag_tool_text *texts;

static void text_free(struct mag_tool_text *text)
{
  mag_schema_free(text->input_schema);
  free(text->name);
  free(text->description);
  free(text->schema);
  free(text);
}

/* The lock is held. */
static struct mag_tool_text *find(struct mbp_str name, struct mbp_str description, struct mbp_str schema)
{
  struct mag_tool_text *text = texts;
  while (text && !(mbp_str_eq(name, text->name) && mbp_str_eq(schema, text->schema) &&
                   mbp_str_eq(description, text->description)))
    text = text->next;
  return text;
}

static int text_new(struct mbp_str name, struct mbp_str description, struct mbp_str schema,
                    struct mag_tool_text **ret_text, struct mbp_error *err)
{
  struct mag_tool_text *text = calloc(1, sizeof(*text));
  if (!text)
    return mag_error_no_memory(err);
  text->name = mag_str_dup(name);
  text->description = mag_str_dup(description);
  text->schema = mag_str_dup(schema);
  int r = text->name && text->description && text->schema ? mag_schema_new(schema, &text->input_schema, err)
                                                          : mag_error_no_memory(err);
  if (r < 0) {
    text_free(text);
    return r;
  }
  *ret_text = text;
  return 0;
}

int mag_tool_text_get(struct mbp_str name, struct mbp_str description, struct mbp_str schema,
                      struct mag_tool_text **ret_text, struct mbp_error *err)
{
  pthread_mutex_lock(&lock);
  struct mag_tool_text *text = find(name, description, schema);
  int r = text ? 0 : text_new(name, description, schema, &text, err);
  if (r == 0 && text->refs++ == 0) {
    text->next = texts;
    texts = text;
  }
  pthread_mutex_unlock(&lock);
  if (r == 0)
    *ret_text = text;
  return r;
}

void mag_tool_text_put(struct mag_tool_text *text)
{
  if (!text)
    return;
  pthread_mutex_lock(&lock);
  bool last = --text->refs == 0;
  struct mag_tool_text **place = &texts;
  while (last && *place != text)
    place = &(*place)->next;
  if (last)
    *place = text->next;
  pthread_mutex_unlock(&lock);
  if (last)
    text_free(text);
}
