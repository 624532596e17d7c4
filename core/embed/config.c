/* Configurations: pieces of agent files, kept as JSON until an agent is made from them. */
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "embed/embed.h"

#include <string.h>

/* What there is without memory: never written to, it tells its mistake to whoever makes an agent. */
static struct magent_config no_memory = {
    .mistake = {.size = MBP_SIZE(struct mbp_error, message), .code = MBP_E_NO_MEMORY, .message = "out of memory"}};

struct magent_config *magent_config_new(void)
{
  struct magent_config *config = calloc(1, sizeof(struct magent_config));
  return config ? config : &no_memory;
}

void magent_config_free(struct magent_config *config)
{
  if (!config || config == &no_memory)
    return;
  while (config->newest) {
    struct embed_piece *piece = config->newest;
    config->newest = piece->older;
    free(piece);
  }
  free(config);
}

static int add_piece(struct magent_config *config, const char *json, struct mbp_error *err)
{
  size_t len = strlen(json) + 1;
  struct embed_piece *piece = malloc(sizeof(*piece) + len);
  if (!piece)
    return mag_error_no_memory(err);
  memcpy(piece->json, json, len);
  piece->older = config->newest;
  config->newest = piece;
  return 0;
}

/* Tells the mistake, and remembers the first one for whoever makes an agent. */
static int finish(struct magent_config *config, int r, const struct mbp_error *err, struct magent_error *error)
{
  if (r == 0)
    return 0;
  if (config->mistake.code == 0)
    config->mistake = *err;
  return embed_fail(error, err);
}

/* Does the reader of agent files take it? */
static int try_piece(const char *json, struct mbp_error *err)
{
  struct mag_definition trial = {0};
  int r = mag_definition_take(&trial, mbp_str(json), "configuration", err);
  mag_definition_done(&trial);
  return r;
}

static int add(struct magent_config *config, const char *json, struct mbp_error *err)
{
  int r = config == &no_memory ? mag_error_no_memory(err) : try_piece(json, err);
  return r < 0 ? r : add_piece(config, json, err);
}

int magent_config_parse(struct magent_config *config, const char *text, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_yaml_to_json(mbp_str(text), &json, &err);
  if (r == 0)
    r = add(config, json, &err);
  return finish(config, r, &err, error);
}

/* {"compute":{"memory":VALUE}} for "compute.memory". */
static char *nested(const char *key, const char *json)
{
  mag_autowriter w = mag_writer_new();
  unsigned depth = 1;
  mag_writer_object(w, NULL);
  for (const char *dot; (dot = strchr(key, '.')) && depth < 8; key = dot + 1, depth++) {
    mag_autofree char *name = mag_str_dup(mbp_str_n(key, (size_t) (dot - key)));
    mag_writer_object(w, name ? name : "");
  }
  mag_writer_raw(w, key, mbp_str(json));
  while (depth--)
    mag_writer_end(w);
  return mag_writer_take(w);
}

static int set_json(struct magent_config *config, const char *key, const char *json, struct mbp_error *err)
{
  mag_autofree char *piece = nested(key, json);
  return piece ? add(config, piece, err) : mag_error_no_memory(err);
}

/* The reader knows which keys are texts: what looks like a list or mapping is tried as that first, all else last. */
static int set(struct magent_config *config, const char *key, const char *value, struct mbp_error *err)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_string(w, NULL, mbp_str(value));
  mag_autofree char *text = mag_writer_take(w), *json = NULL;
  if (!text)
    return mag_error_no_memory(err);
  int r = mag_yaml_to_json(mbp_str(value), &json, NULL);
  if (r == 0 && (*json == '{' || *json == '[') && set_json(config, key, json, err) == 0)
    return 0;
  if (set_json(config, key, text, err) == 0)
    return 0;
  return set_json(config, key, r == 0 ? json : text, err);
}

int magent_config_set(struct magent_config *config, const char *key, const char *value)
{
  struct mbp_error err = MAG_ERROR_INIT;
  int r = set(config, key, value, &err);
  return finish(config, r, &err, NULL);
}

int embed_define(const struct magent_config *config, struct mag_definition *definition, struct mbp_error *err)
{
  if (config && config->mistake.code)
    return mag_error_import(err, &config->mistake);
  int r = 0;
  for (const struct embed_piece *piece = config ? config->newest : NULL; piece && r == 0; piece = piece->older)
    r = mag_definition_take(definition, mbp_str(piece->json), "configuration", err);
  return r < 0 ? r : mag_definition_defaults(definition, err);
}
