#include "plugins/compute-docker/progress.h"

#include <stdio.h>
#include <string.h>

#define LAYER_MOST (INT64_C(1) << 50) /* bytes: sums of them stay numbers */

void progress_init(struct progress *progress, const struct mbp_json_v1 *json)
{
  memset(progress, 0, sizeof(*progress));
  progress->json = json;
  progress->percent = -1;
}

static void keep(char *to, size_t cap, struct mbp_str text)
{
  size_t n = text.len < cap - 1 ? text.len : cap - 1;
  if (n)
    memcpy(to, text.ptr, n);
  to[n] = 0;
}

/* Its index; n_layers: it is not known. */
static size_t find_layer(const struct progress *progress, struct mbp_str id)
{
  size_t i = 0;
  while (i < progress->n_layers && !mbp_str_eq(id, progress->layers[i].id))
    i++;
  return i;
}

static void sum_up(struct progress *progress)
{
  progress->current = progress->total = 0;
  for (size_t k = 0; k < progress->n_layers; k++) {
    progress->current += progress->layers[k].current;
    progress->total += progress->layers[k].total;
  }
  progress->percent = (int) (100.0 * (double) progress->current / (double) progress->total);
}

static void count(struct progress *progress, struct mbp_str id, int64_t current, int64_t total)
{
  if (id.len == 0 || id.len >= sizeof(progress->layers[0].id) || current < 0 || total <= 0 || total > LAYER_MOST ||
      current > total)
    return;
  size_t i = find_layer(progress, id);
  if (i == PROGRESS_LAYERS)
    return;
  if (i == progress->n_layers) {
    keep(progress->layers[i].id, sizeof(progress->layers[i].id), id);
    progress->n_layers++;
  }
  progress->layers[i].current = current;
  progress->layers[i].total = total;
  sum_up(progress);
}

/* Of its last bytes nothing else is told. */
static void complete(struct progress *progress, struct mbp_str id)
{
  size_t i = find_layer(progress, id);
  if (i == progress->n_layers)
    return;
  progress->layers[i].current = progress->layers[i].total;
  sum_up(progress);
}

static int take_line(struct progress *progress)
{
  const struct mbp_json_v1 *json = progress->json;
  struct mbp_json *document = NULL;
  int said = 0;
  while (progress->len && strchr("\r\n ", progress->line[progress->len - 1]))
    progress->len--;
  if (progress->len == 0 || json->parse(mbp_str_n(progress->line, progress->len), &document, NULL) < 0)
    return 0;
  struct mbp_str status = json->str(json->get(document, "status"));
  struct mbp_str error = json->str(json->get(document, "error"));
  struct mbp_str detail = json->str(json->get(json->get(document, "errorDetail"), "message"));
  const struct mbp_json *sizes = json->get(document, "progressDetail");
  if (error.len || detail.len)
    keep(progress->error, sizeof(progress->error), detail.len ? detail : error);
  if (status.len && !mbp_str_eq(status, progress->status)) {
    keep(progress->status, sizeof(progress->status), status);
    said = 1;
  }
  int before = progress->percent;
  if (mbp_str_eq(status, "Downloading"))
    count(progress, json->str(json->get(document, "id")), json->num(json->get(sizes, "current"), -1),
          json->num(json->get(sizes, "total"), -1));
  else if (mbp_str_eq(status, "Download complete"))
    complete(progress, json->str(json->get(document, "id")));
  json->free(document);
  return said || progress->percent / 10 != before / 10;
}

int progress_end(struct progress *progress)
{
  int said = progress->skipping ? 0 : take_line(progress);
  progress->len = 0;
  progress->skipping = 0;
  return said;
}

void progress_text(const struct progress *progress, char *text, size_t size)
{
  const double megabyte = 1000000;
  if (progress->total > 0 && strcmp(progress->status, "Downloading") == 0)
    (void) snprintf(text, size, "Downloading %.1f of %.1f MB", (double) progress->current / megabyte,
                    (double) progress->total / megabyte);
  else
    (void) snprintf(text, size, "%s", progress->status);
}

int progress_feed(struct progress *progress, const char *data, size_t len)
{
  int said = 0;
  while (len > 0) {
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t) (end - data) : len;
    if (n > sizeof(progress->line) - progress->len)
      progress->skipping = 1;
    if (!progress->skipping) {
      memcpy(progress->line + progress->len, data, n);
      progress->len += n;
    }
    if (end)
      said += progress_end(progress);
    n += end != NULL;
    data += n;
    len -= n;
  }
  return said;
}
