/* What custom tools answer: blocks of text and images, whoever gives them. */
#include "agent/custom_parts.h"

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

#define IMAGE_MAX 3000000

int mag_image_check(struct mbp_str media_type, struct mbp_str data, bool base64, struct mbp_error *err)
{
  static const struct {
    const char *media_type, *start;
    size_t len;
  } kinds[] = {{"image/png", "\x89PNG\r\n\x1a\n", 8},
               {"image/jpeg", "\xff\xd8\xff", 3},
               {"image/gif", "GIF8", 4},
               {"image/webp", "RIFF", 4}};
  unsigned char start[12] = {0};
  size_t n = MAG_MIN(data.len, sizeof(start)), kind = 0, len = base64 ? mag_base64_decoded(data) : data.len;
  if (base64 && len == SIZE_MAX)
    return mag_error(err, MBP_E_INVALID, "the data of an image is not base64");
  while (kind < MAG_COUNT(kinds) && !mbp_str_eq(media_type, kinds[kind].media_type))
    kind++;
  if (kind == MAG_COUNT(kinds))
    return mag_error(err, MBP_E_INVALID, "the media_type of an image must be image/png, jpeg, gif or webp");
  if (len > IMAGE_MAX)
    return mag_error(err, MBP_E_LIMIT, "an image is larger than %d bytes", IMAGE_MAX);
  if (base64)
    (void) mag_base64_decode(mbp_str_n(data.ptr, MAG_MIN(data.len, (size_t) 16)), start, sizeof(start));
  else if (n)
    memcpy(start, data.ptr, n);
  bool right = len >= kinds[kind].len && memcmp(start, kinds[kind].start, kinds[kind].len) == 0;
  if (kind == 3)
    right = right && len >= 12 && memcmp(start + 8, "WEBP", 4) == 0;
  return right ? 0 : mag_error(err, MBP_E_INVALID, "the data of an image is not %s", kinds[kind].media_type);
}

char *mag_custom_text_content(struct mbp_str text)
{
  mag_autowriter w = mag_writer_new();
  mag_writer_array(w, NULL);
  mag_write_text_block(w, text);
  mag_writer_end(w);
  return mag_writer_take(w);
}

static int check_block(const struct mbp_json *block, struct mbp_error *err)
{
  struct mbp_str type = mag_json_str(mag_json_get(block, "type"));
  const struct mbp_json *source = mag_json_get(block, "source");
  if (mbp_str_eq(type, "text"))
    return mag_json_type(mag_json_get(block, "text")) == MBP_JSON_STRING && mag_json_count(block) == 2
               ? 0
               : mag_error(err, MBP_E_INVALID, "a text block must have a text, and no more");
  if (!mbp_str_eq(type, "image"))
    return mag_error(err, MBP_E_INVALID, "a block of content must be of type text or image");
  if (!mbp_str_eq(mag_json_str(mag_json_get(source, "type")), "base64") || mag_json_count(source) != 3 ||
      mag_json_count(block) != 2)
    return mag_error(err, MBP_E_INVALID, "the source of an image must be {type: base64, media_type, data}");
  return mag_image_check(mag_json_str(mag_json_get(source, "media_type")), mag_json_str(mag_json_get(source, "data")),
                         /* base64= */ true, err);
}

int mag_custom_parse_answer(struct mbp_str text, bool *ret_found, struct mag_custom_answer *ret_answer,
                            struct mbp_error *err)
{
  mag_autojson json = NULL;
  struct mbp_str content;
  *ret_found = false;
  if (mag_json_parse(text, &json, NULL) < 0 || mag_json_type(json) != MBP_JSON_OBJECT || !mag_json_get(json, "content"))
    return 0;
  for (const struct mbp_json *i = mag_json_first(json); i; i = mag_json_next(i))
    if (!mbp_str_eq(mag_json_key(i), "content") && !mbp_str_eq(mag_json_key(i), "is_error"))
      return 0;
  *ret_found = true;
  const struct mbp_json *blocks = mag_json_get(json, "content"), *is_error = mag_json_get(json, "is_error");
  if (is_error && mag_json_type(is_error) != MBP_JSON_BOOL)
    return mag_error(err, MBP_E_INVALID, "is_error must be true or false");
  bool plain = mag_json_type(blocks) == MBP_JSON_STRING;
  if (!plain && mag_json_type(blocks) != MBP_JSON_ARRAY)
    return mag_error(err, MBP_E_INVALID, "content must be text or a list of blocks");
  for (const struct mbp_json *i = plain ? NULL : mag_json_first(blocks); i; i = mag_json_next(i)) {
    int r = check_block(i, err);
    if (r < 0)
      return r;
  }
  (void) mag_json_slice(text, "content", &content);
  ret_answer->content = plain ? mag_custom_text_content(mag_json_str(blocks)) : mag_str_dup(content);
  ret_answer->is_error = mag_json_truth(is_error, 0);
  return ret_answer->content ? 0 : mag_error_no_memory(err);
}
