/* Configurations: pieces of agent files, kept as JSON until an agent is made from them or changed by them. */
#include "agent/yaml.h"
#include "base/cleanup.h"
#include "base/error.h"
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
  while (config->first) {
    struct embed_piece *piece = config->first;
    config->first = piece->next;
    free(piece);
  }
  free(config);
}

/* `where`: the file, or "". */
static int add_piece(struct magent_config *config, const char *json, const char *where, struct mbp_error *err)
{
  size_t json_size = strlen(json) + 1, where_size = strlen(where) + 1;
  struct embed_piece **last = &config->first, *piece = calloc(1, sizeof(*piece) + json_size + where_size);
  if (!piece)
    return mag_error_no_memory(err);
  memcpy(piece->json, json, json_size);
  piece->where = memcpy(piece->json + json_size, where, where_size);
  while (*last)
    last = &(*last)->next;
  *last = piece;
  return 0;
}

/* A mistake is found when it is made. */
static int add(struct magent_config *config, const char *json, const char *where, struct mbp_error *err)
{
  struct mag_definition trial = {0};
  int r = config == &no_memory ? mag_error_no_memory(err)
                               : mag_definition_change(&trial, mbp_str(json), where, /* lines= */ *where != 0, err);
  mag_definition_done(&trial);
  return r < 0 ? r : add_piece(config, json, where, err);
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

int magent_config_set(struct magent_config *config, const char *key, const char *value)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_definition_one_key(key, value, &json, &err);
  if (r == 0)
    r = add(config, json, "", &err);
  return finish(config, r, &err, NULL);
}

int magent_config_parse(struct magent_config *config, const char *text, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_yaml_to_json(mbp_str(text), "configuration", &json, &err);
  if (r == 0)
    r = add(config, json, "configuration", &err);
  return finish(config, r, &err, error);
}

int magent_config_load(struct magent_config *config, const char *path, struct magent_error *error)
{
  struct mbp_error err = MAG_ERROR_INIT;
  mag_autofree char *json = NULL;
  int r = mag_definition_read_file(path, &json, &err);
  if (r == 0)
    r = add(config, json, path, &err);
  return finish(config, r, &err, error);
}

int embed_change(const struct magent_config *config, struct mag_definition *definition, struct mbp_error *err)
{
  if (config && config->mistake.code)
    return mag_error_import(err, &config->mistake);
  int r = 0;
  for (const struct embed_piece *piece = config ? config->first : NULL; piece && r == 0; piece = piece->next)
    r = mag_definition_change(definition, mbp_str(piece->json), piece->where, *piece->where != 0, err);
  return r;
}
