/* tool_walk.h - a walk through a tree of directories in the order of names. Symbolic links are not followed; .git and
 * node_modules are left out, and the kernel's own trees when it starts at /. */
#ifndef MAG_SANDBOX_TOOL_WALK_H
#define MAG_SANDBOX_TOOL_WALK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALK_DEPTH 40
#define WALK_ENTRIES 50000
#define WALK_MS 60000

struct tool_walk {
  /* Of a directory below the start: false leaves it out. depth: 1 for one that lies in the start. */
  bool (*enter)(void *ctx, int dir, const char *name, int depth);
  /* Of everything else. path: below the start. false ends the walk. */
  bool (*visit)(void *ctx, int dir, const char *name, unsigned char type, int depth);
  void *ctx;
  char path[PATH_MAX]; /* of what is being looked at, below the start */
  size_t path_len;
  size_t entries;
  int64_t until_ms;
  bool cut;      /* an entry or depth limit was met */
  bool late;     /* the time was up */
  bool skip_top; /* starts at / */
};

/* Walks the directory `fd`, which is closed. */
void tool_walk(struct tool_walk *walk, int fd);
bool tool_walk_late(struct tool_walk *walk);

#endif
