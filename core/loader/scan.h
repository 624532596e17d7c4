/* scan.h - the inside of a registry, and reading directories into it. Private to loader. */
#ifndef MAG_LOADER_SCAN_H
#define MAG_LOADER_SCAN_H

#include "loader/known.h"
#include "loader/registry.h"

#include <pthread.h>
#include <sys/types.h>

#define MAG_REGISTRY_MAX 4096 /* files and directories of one registry */

enum mag_entry_state { MAG_ENTRY_UNTRIED, MAG_ENTRY_OPEN, MAG_ENTRY_BAD };

struct mag_entry {
  struct mag_candidate candidate;
  char *name, *path;
  dev_t dev;
  ino_t ino;
  enum mag_entry_state state;
  struct mag_plugin *plugin; /* MAG_ENTRY_OPEN */
  struct mbp_error error;    /* MAG_ENTRY_BAD */
};

struct mag_directory {
  char *path;
  int trust;
  dev_t dev;
  ino_t ino;
};

struct mag_report_line {
  char *path, *message;
  bool notice;
  struct mag_report_line *next;
};

struct mag_registry {
  struct mag_directory *directories;
  size_t n_directories;
  struct mag_entry *entries; /* sorted by kind and name once made */
  size_t n_entries;
  struct mag_report_line *reports, **last_report;
  char *asker;            /* NULL: plugins are asked in this process */
  bool known_tried;
  struct mag_known known;
  pthread_mutex_t lock; /* states, reports and what is known; all else does not change */
};

/* Reports `why` (which it copies). With the lock held once the registry is in use. */
void mag_registry_add_report(struct mag_registry *registry, const char *path, bool notice, const struct mbp_error *why);

/* Before the registry is handed out, so without the lock. Only the given directories must exist. */
int mag_registry_scan(struct mag_registry *registry, const char *path, int trust, struct mbp_error *err);
/* The directories of MAGENT_PLUGIN_PATH. */
int mag_registry_scan_environment(struct mag_registry *registry, struct mbp_error *err);

struct mag_entry *mag_registry_entry(struct mag_registry *registry, uint32_t kind, struct mbp_str name);

#endif
