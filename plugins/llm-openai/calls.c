#include "calls.h"

#include <stdlib.h>

void blocks_done(struct blocks *blocks)
{
  for (size_t i = 0; i < blocks->n; i++) {
    llm_buf_done(&blocks->list[i].text);
    llm_buf_done(&blocks->list[i].name);
    llm_buf_done(&blocks->list[i].id);
    llm_buf_done(&blocks->list[i].wire_id);
    llm_buf_done(&blocks->list[i].extra);
  }
  free(blocks->list);
  blocks->list = NULL;
  blocks->n = blocks->cap = 0;
}

static int add_block(struct blocks *blocks, enum kind kind, struct block **ret_block, struct mbp_error *err)
{
  if (blocks->n == BLOCKS_MAX)
    return llm_error(err, MBP_E_LIMIT, "the answer has more than %d blocks", BLOCKS_MAX);
  if (blocks->n == blocks->cap) {
    size_t cap = blocks->cap ? 2 * blocks->cap : 8;
    struct block *list = realloc(blocks->list, cap * sizeof(*list));
    if (!list)
      return llm_no_memory(err);
    blocks->list = list;
    blocks->cap = cap;
  }
  *ret_block = &blocks->list[blocks->n++];
  **ret_block = (struct block){.kind = kind, .index = -1};
  return 0;
}

int blocks_find(struct blocks *blocks, enum kind kind, struct block **ret_block, struct mbp_error *err)
{
  for (size_t i = 0; i < blocks->n; i++)
    if (blocks->list[i].kind == kind) {
      *ret_block = &blocks->list[i];
      return 0;
    }
  return add_block(blocks, kind, ret_block, err);
}

/* ---- Ids ------------------------------------------------------------------------------------------------------ */

static int holds_quoted(struct mbp_str text, struct mbp_str id)
{
  for (size_t at = 0; at + id.len + 2 <= text.len;) {
    const char *found = memmem(text.ptr + at, text.len - at, id.ptr, id.len);
    if (!found)
      return 0;
    size_t start = (size_t) (found - text.ptr);
    if (start > 0 && found[-1] == '"' && start + id.len < text.len && found[id.len] == '"')
      return 1;
    at = start + 1;
  }
  return 0;
}

/* Servers that count from zero in each answer would give two calls of a session the same id. */
static int is_taken(const struct blocks *blocks, struct mbp_str id)
{
  for (size_t i = 0; i + 1 < blocks->n; i++)
    if (blocks->list[i].id.len == id.len && memcmp(blocks->list[i].id.ptr, id.ptr, id.len) == 0)
      return 1;
  for (size_t i = 0; blocks->request && i < blocks->request->n_messages; i++)
    if (blocks->request->messages[i].role == MBP_ROLE_ASSISTANT &&
        holds_quoted(blocks->request->messages[i].content, id))
      return 1;
  return 0;
}

static int new_call(struct blocks *blocks, int64_t index, struct mbp_str id, struct block **ret_block,
                    struct mbp_error *err)
{
  struct block *call;
  int r = add_block(blocks, KIND_CALL, &call, err);
  if (r < 0)
    return r;
  call->index = index;
  llm_buf_str(&call->wire_id, id);
  if (id.len && id.len <= 256 && !is_taken(blocks, id))
    llm_buf_str(&call->id, id);
  for (unsigned n = 0; call->id.len == 0 && !call->id.failed; n++) {
    llm_buf_printf(&call->id, "call_m%zu_%zu", blocks->request ? blocks->request->n_messages : 0, blocks->n - 1);
    if (n)
      llm_buf_printf(&call->id, "_%u", n);
    if (n < 100 && is_taken(blocks, llm_buf_view(&call->id)))
      llm_buf_clear(&call->id);
  }
  *ret_block = call;
  return call->id.failed || call->wire_id.failed ? llm_no_memory(err) : 0;
}

/* ---- Which call a piece belongs to ---------------------------------------------------------------------------- */

static struct block *last_call(struct blocks *blocks)
{
  for (size_t i = blocks->n; i > 0; i--)
    if (blocks->list[i - 1].kind == KIND_CALL)
      return &blocks->list[i - 1];
  return NULL;
}

static struct block *call_at(struct blocks *blocks, size_t position)
{
  for (size_t i = 0; i < blocks->n; i++)
    if (blocks->list[i].kind == KIND_CALL && position-- == 0)
      return &blocks->list[i];
  return NULL;
}

static struct block *call_by_index(struct blocks *blocks, int64_t index)
{
  for (size_t i = blocks->n; i > 0; i--)
    if (blocks->list[i - 1].kind == KIND_CALL && blocks->list[i - 1].index == index)
      return &blocks->list[i - 1];
  return NULL;
}

static struct block *call_by_id(struct blocks *blocks, struct mbp_str id)
{
  for (size_t i = 0; id.len && i < blocks->n; i++) {
    struct mbp_str known = llm_buf_view(&blocks->list[i].wire_id);
    if (blocks->list[i].kind == KIND_CALL && known.len == id.len && memcmp(known.ptr, id.ptr, id.len) == 0)
      return &blocks->list[i];
  }
  return NULL;
}

/* A named piece begins a new call if the call so far is finished. */
static int is_finished(const struct blocks *blocks, const struct block *call)
{
  return call->name.len && llm_is_object(blocks->json, llm_buf_view(&call->text));
}

/* Of servers that give every call of an answer the same index. */
static int is_another(const struct blocks *blocks, const struct block *call, struct mbp_str id, struct mbp_str name)
{
  struct mbp_str known = llm_buf_view(&call->wire_id);
  if (name.len == 0)
    return 0;
  if (id.len && known.len)
    return id.len != known.len || memcmp(id.ptr, known.ptr, id.len) != 0;
  return is_finished(blocks, call);
}

int blocks_find_call(struct blocks *blocks, const struct mbp_json *piece, size_t position, size_t count,
                     struct block **ret_block, struct mbp_error *err)
{
  const struct mbp_json_v1 *json = blocks->json;
  int64_t index = json->num(json->get(piece, "index"), -1);
  struct mbp_str id = json->str(json->get(piece, "id"));
  struct mbp_str name = json->str(json->get(json->get(piece, "function"), "name"));
  struct block *call;
  if (index >= 0) {
    call = call_by_index(blocks, index);
    if (call && is_another(blocks, call, id, name))
      call = call_by_id(blocks, id);
  } else if (id.len) {
    call = call_by_id(blocks, id);
  } else if (name.len) {
    call = last_call(blocks);
    if (call &&
        (call->wire_id.len || is_finished(blocks, call) || !mbp_str_eq(name, call->name.len ? call->name.ptr : "")))
      call = NULL;
  } else {
    call = count > 1 ? call_at(blocks, position) : last_call(blocks);
  }
  if (!call)
    return new_call(blocks, index, id, ret_block, err);
  if (call->wire_id.len == 0)
    llm_buf_str(&call->wire_id, id);
  *ret_block = call;
  return 0;
}
