/* progress.h - what an engine tells while it pulls an image: JSON objects, one a line, cut anywhere. A pull that fails
 * after it has begun is a good HTTP status whose last line holds an error. */
#ifndef MAG_DOCKER_PROGRESS_H
#define MAG_DOCKER_PROGRESS_H

#include <magent/mbp-host.h>

#define PROGRESS_LINE (64 << 10)
#define PROGRESS_LAYERS 64

struct progress {
  const struct mbp_json_v1 *json;
  char line[PROGRESS_LINE];
  size_t len;
  int skipping; /* the rest of a line that is too long */
  struct {
    char id[20];
    int64_t current, total;
  } layers[PROGRESS_LAYERS];
  size_t n_layers;
  int64_t current, total; /* bytes of all layers that are known so far */
  int percent;            /* of them; -1: nothing is known */
  char status[100];       /* the last one */
  char error[300];        /* empty: none yet */
};

void progress_init(struct progress *progress, const struct mbp_json_v1 *json);
/* Number of lines that said something new: another status, or another tenth. */
int progress_feed(struct progress *progress, const char *data, size_t len);
/* What is left is a line, too. */
int progress_end(struct progress *progress);
/* Where it stands, for a human. */
void progress_text(const struct progress *progress, char *text, size_t size);

#endif
