#include "plugin.h"
#include "wrap.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

struct row {
  struct mag_candidate candidate;
  struct mag_inspection inspection;
  struct mbp_json *document; /* NULL: see the inspection's problem */
};

struct table {
  struct row *rows;
  size_t n;
};

static int add(void *ctx, const struct mag_candidate *candidate)
{
  struct table *table = ctx;
  struct row *rows = reallocarray(table->rows, table->n + 1, sizeof(*rows));
  if (!rows)
    return -MBP_E_NO_MEMORY;
  table->rows = rows;
  struct row *row = &rows[table->n++];
  *row = (struct row){.candidate = *candidate};
  row->document = plugin_ask(candidate->path, candidate->trust, &row->inspection);
  return 0;
}

static const char *problem_of(const struct row *row)
{
  return row->inspection.problem ? row->inspection.problem : "out of memory";
}

static void print_json(struct mag_registry *registry, const struct table *table)
{
  mag_autowriter writer = mag_writer_new();
  struct mag_report report;
  mag_writer_object(writer, NULL);
  mag_writer_array(writer, "plugins");
  for (size_t i = 0; i < table->n; i++)
    if (table->rows[i].document)
      mag_writer_raw(writer, NULL, mbp_str(table->rows[i].inspection.json));
  mag_writer_end(writer);
  mag_writer_array(writer, "problems");
  for (size_t i = 0; i < table->n; i++) {
    const struct row *row = &table->rows[i];
    if (row->document)
      continue;
    mag_writer_object(writer, NULL);
    mag_writer_string(writer, "file", mbp_str(row->candidate.path));
    mag_writer_string(writer, "message", mbp_str(problem_of(row)));
    mag_writer_boolean(writer, "notice", row->inspection.notice);
    mag_writer_end(writer);
  }
  for (size_t i = 0; mag_registry_report(registry, i, &report); i++) {
    mag_writer_object(writer, NULL);
    mag_writer_string(writer, "file", mbp_str(report.path));
    mag_writer_string(writer, "message", mbp_str(report.message));
    mag_writer_boolean(writer, "notice", report.notice);
    mag_writer_end(writer);
  }
  mag_writer_end(writer);
  mag_writer_array(writer, "directories");
  for (size_t i = 0; mag_registry_directory(registry, i); i++)
    mag_writer_string(writer, NULL, mbp_str(mag_registry_directory(registry, i)));
  mag_writer_end(writer);
  mag_writer_end(writer);
  mag_autofree char *text = mag_writer_take(writer);
  (void) printf("%s\n", text ? text : "{}");
}

static void print_problem(const char *message, bool notice, bool *first)
{
  if (*first)
    (void) printf("\nNot used:\n");
  *first = false;
  (void) printf("  %s", notice ? "(notice) " : "");
  plugin_wrap(stdout, notice ? 11 : 2, 4, mbp_str(message));
}

static void print_table(const struct table *table)
{
  int name_width = 4, version_width = 7;
  for (size_t i = 0; i < table->n; i++) {
    const struct row *row = &table->rows[i];
    name_width = MAG_MAX(name_width, cli_columns(mbp_str(row->candidate.name)));
    if (row->document)
      version_width = MAG_MAX(version_width, cli_columns(plugin_text(row->document, "version")));
  }
  name_width = MAG_MIN(name_width, 24);
  version_width = MAG_MIN(version_width, 16);
  bool heading = true;
  for (size_t i = 0; i < table->n; i++) {
    const struct row *row = &table->rows[i];
    if (!row->document)
      continue;
    if (heading) {
      plugin_bold(stdout, 1);
      (void) printf("%-8s %-*s %-*s %s", "KIND", name_width, "NAME", version_width, "VERSION", "SUMMARY");
      plugin_bold(stdout, 0);
      (void) printf("\n");
      heading = false;
    }
    plugin_cell(stdout, mbp_str(mag_kind_name(row->candidate.kind)), 9);
    plugin_cell(stdout, mbp_str(row->candidate.name), name_width);
    (void) printf(" ");
    plugin_cell(stdout, plugin_text(row->document, "version"), version_width);
    (void) printf(" ");
    int at = 11 + name_width + version_width;
    plugin_wrap(stdout, at, at, plugin_text(row->document, "summary"));
  }
}

static void print_text(struct mag_registry *registry, const struct table *table)
{
  struct mag_report report;
  bool first = true;
  size_t good = 0;
  for (size_t i = 0; i < table->n; i++)
    good += table->rows[i].document != NULL;
  if (good)
    print_table(table);
  else
    (void) printf("No plugins.\n");
  for (size_t i = 0; i < table->n; i++)
    if (!table->rows[i].document)
      print_problem(problem_of(&table->rows[i]), table->rows[i].inspection.notice, &first);
  for (size_t i = 0; mag_registry_report(registry, i, &report); i++)
    print_problem(report.message, report.notice, &first);
  if (good)
    return;
  (void) printf("\nSearched:\n");
  for (size_t i = 0; mag_registry_directory(registry, i); i++)
    (void) printf("  %s\n", mag_registry_directory(registry, i));
}

int plugin_list(struct mag_registry *registry, const struct plugin_options *options)
{
  struct table table = {NULL, 0};
  int r = mag_registry_each(registry, add, &table);
  if (r == 0 && options->json)
    print_json(registry, &table);
  else if (r == 0)
    print_text(registry, &table);
  else
    (void) fprintf(stderr, "magent: out of memory\n");
  for (size_t i = 0; i < table.n; i++) {
    mag_json_free(table.rows[i].document);
    mag_inspection_done(&table.rows[i].inspection);
  }
  free(table.rows);
  return r == 0 ? 0 : 1;
}
