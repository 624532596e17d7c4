/* inspect.h - what a plugin says of itself, asked in a child process with a time limit: a plugin that crashes or hangs
 * while it is asked is only a line in the report.
 *
 * The child is the program itself, run anew (a fork of a process with threads could do nothing safely):
 *
 *   EXE plugin query-child given|checked FILE
 *
 * prints one JSON object and ends. The program passes these arguments on to mag_inspect_query.
 */
#ifndef MAG_LOADER_INSPECT_H
#define MAG_LOADER_INSPECT_H

#include <magent/mbp.h>
#include <stdbool.h>

#define MAG_INSPECT_MS 2000 /* that a plugin may take to answer */

struct mag_inspection {
  char *json;    /* the description, or NULL: see mag_plugin_describe */
  char *problem; /* why there is none, one line that begins with the path; else NULL */
  bool died;     /* the problem is that the child crashed, hung or left: the plugin must not be asked elsewhere */
  bool notice;   /* the problem is no fault: of a kind that this magent does not know */
};

/* Asks the plugin in `path`. `exe` is the program to run, usually mag_inspect_self(). Never fails: what went wrong
 * is the problem. (Without memory both members are NULL.) */
void mag_inspect_child(const char *path, int trust, const char *exe, int timeout_ms,
                       struct mag_inspection *ret_inspection);
void mag_inspection_done(struct mag_inspection *inspection);

/* This program, to run once more. The link /proc/self/exe itself leads to the tool under one such as valgrind. */
const char *mag_inspect_self(void);

/* The child's side; argv[0] is "query-child". Returns the exit status. */
int mag_inspect_query(int argc, char **argv);

struct mag_plugin;
struct mbp_writer;
/* Writes the members of a description into the open object: file, kind, name, version, license, origin, summary, help,
 * abi, kind_version, size, ops_size, threads, caps, what the kind states (models, networks ...), probe, params. */
void mag_plugin_describe(const struct mag_plugin *plugin, struct mbp_writer *writer);

#endif
