/* What a provider made, as it told of it: copied, checked, and removed again. */
#include "agent/sandbox_parts.h"

#include "base/error.h"

#include <limits.h>
#include <string.h>

void mag_box_unref(struct box *box)
{
  if (!box || atomic_fetch_sub(&box->refs, 1) != 1)
    return;
  free(box->text);
  free(box->helper);
  free(box);
}

struct mbp_str mag_text_place(char **at, struct mbp_str text)
{
  struct mbp_str copy = mbp_str_n(*at, text.len);
  if (text.len)
    memcpy(*at, text.ptr, text.len);
  (*at)[text.len] = 0;
  *at += text.len + 1;
  return copy;
}

static bool text_fits(struct mbp_str text, size_t limit)
{
  return text.len <= limit && (text.len == 0 || !memchr(text.ptr, 0, text.len));
}

int mag_box_take(void *ctx, const void *result, struct mbp_error *err)
{
  struct mbp_sandbox_info info = {0};
  if (!result)
    return mag_error(err, MBP_E_INTERNAL, "the provider told nothing of the sandbox that it made");
  memcpy(&info, result, MAG_MIN((size_t) * (const uint32_t *) result, sizeof(info)));
  info.size = MBP_SIZE(struct mbp_sandbox_info, existed);
  struct mbp_str *texts[] = {&info.id, &info.key, &info.session, &info.working_dir, &info.helper, &info.limits};
  size_t total = 0;
  for (size_t i = 0; i < MAG_COUNT(texts); i++) {
    if (!text_fits(*texts[i], PATH_MAX))
      return mag_error(err, MBP_E_PROTOCOL,
                       "the provider described its sandbox with text that is too long or holds a 0");
    total += texts[i]->len + 1;
  }
  if (info.id.len == 0 || info.id.len > 512 || info.working_dir.len == 0 || info.working_dir.ptr[0] != '/')
    return mag_error(err, MBP_E_PROTOCOL, "the provider gave no id or no absolute working directory for its sandbox");
  struct box *box = calloc(1, sizeof(*box));
  char *text = box ? malloc(total) : NULL;
  if (!text) {
    free(box);
    return mag_error_no_memory(err);
  }
  box->refs = 1;
  box->text = text;
  for (size_t i = 0; i < MAG_COUNT(texts); i++)
    *texts[i] = mag_text_place(&text, *texts[i]);
  box->info = info;
  *(struct box **) ctx = box;
  return 0;
}

void mag_sandbox_destroy(struct mag_instance *compute, struct mbp_str session, struct mbp_str id, struct mbp_str key)
{
  const struct mbp_compute_ops *ops = mag_instance_ops(compute);
  struct box *box = NULL;
  struct mag_call_options options = {.session = session, .timeout_ms = MAG_SANDBOX_DESTROY_MS};
  struct mag_call_options find = {
      .session = session, .timeout_ms = MAG_SANDBOX_DESTROY_MS, .on_result = mag_box_take, .ctx = &box};
  struct mbp_error err = MAG_ERROR_INIT;
  if (id.len == 0) {
    (void) MAG_RUN(compute, &find, &err, ops->attach(plugin, call, id, key, &err));
    id = box ? box->info.id : id;
  }
  if (id.len)
    (void) MAG_RUN_CONTROL(compute, &options, &err, ops->destroy(plugin, call, id, &err));
  mag_box_unref(box);
}
