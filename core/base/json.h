/* json.h - strict JSON: reading into a tree, slices of the text itself, and writing.
 *
 * The tree is cJSON's, and json.c is the only file that knows. What cJSON lets through (trailing bytes, invalid
 * UTF-8, NUL, duplicate keys, loose numbers) is refused before it sees the text. Numbers are doubles in the tree:
 * what must keep its digits is taken as a slice.
 */
#ifndef MAG_BASE_JSON_H
#define MAG_BASE_JSON_H

#include <magent/mbp-host.h>
#include <stdbool.h>

#define MAG_JSON_DEPTH 128 /* deepest nesting that is read */

/* The functions behind magent.json/1; see mbp-host.h. The core uses the same ones. */
int mag_json_parse(struct mbp_str text, struct mbp_json **ret_document, struct mbp_error *err);
void mag_json_free(struct mbp_json *document);
uint32_t mag_json_type(const struct mbp_json *value);
const struct mbp_json *mag_json_get(const struct mbp_json *object, const char *key);
const struct mbp_json *mag_json_first(const struct mbp_json *container);
const struct mbp_json *mag_json_next(const struct mbp_json *value);
size_t mag_json_count(const struct mbp_json *container);
struct mbp_str mag_json_key(const struct mbp_json *value);
struct mbp_str mag_json_str(const struct mbp_json *value);
int64_t mag_json_num(const struct mbp_json *value, int64_t otherwise);
double mag_json_double(const struct mbp_json *value, double otherwise);
int mag_json_truth(const struct mbp_json *value, int otherwise);
int mag_json_slice(struct mbp_str text, const char *path, struct mbp_str *ret_slice);

struct mbp_writer *mag_writer_new(void);
void mag_writer_free(struct mbp_writer *writer);
void mag_writer_object(struct mbp_writer *writer, const char *key);
void mag_writer_array(struct mbp_writer *writer, const char *key);
void mag_writer_end(struct mbp_writer *writer);
void mag_writer_string(struct mbp_writer *writer, const char *key, struct mbp_str value);
void mag_writer_number(struct mbp_writer *writer, const char *key, int64_t value);
void mag_writer_boolean(struct mbp_writer *writer, const char *key, int value);
void mag_writer_null(struct mbp_writer *writer, const char *key);
void mag_writer_raw(struct mbp_writer *writer, const char *key, struct mbp_str json);
int mag_writer_text(struct mbp_writer *writer, struct mbp_str *ret_text);
void mag_writer_reset(struct mbp_writer *writer);
/* The text as a string that the caller frees; NULL if anything failed. The writer is reset. */
char *mag_writer_take(struct mbp_writer *writer);

extern const struct mbp_json_v1 mag_json_table;

static inline void mag_json_cleanup(struct mbp_json **document)
{
  mag_json_free(*document);
}
static inline void mag_writer_cleanup(struct mbp_writer **writer)
{
  mag_writer_free(*writer);
}
#define mag_autojson __attribute__((cleanup(mag_json_cleanup))) struct mbp_json *
#define mag_autowriter __attribute__((cleanup(mag_writer_cleanup))) struct mbp_writer *

/* Steps over the elements of an array (or members of an object) in the text itself, without a tree: *at is 0 before
 * the first; 1 and the element's slice (key: its raw key without quotes, or NULL if not wanted), 0 at the end.
 * `text` must be valid JSON. */
int mag_json_step(struct mbp_str text, size_t *at, struct mbp_str *ret_key, struct mbp_str *ret_value);

/* Is `text` one valid JSON value? The check behind mag_json_parse; the error names the place. */
int mag_json_check(struct mbp_str text, struct mbp_error *err);

#endif
