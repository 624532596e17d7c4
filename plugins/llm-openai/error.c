#include "decoder.h"

static int by_status(int64_t status, uint32_t *ret_flags)
{
  *ret_flags = status == 408 || status == 409 || status == 429 || status >= 500 ? MBP_ERR_RETRYABLE : 0;
  switch (status) {
  case 400:
  case 422:
    return MBP_E_INVALID;
  case 401:
    return MBP_E_AUTH;
  case 402:
    return MBP_E_BILLING;
  case 403:
    return MBP_E_PERMISSION;
  case 404:
    return MBP_E_NOT_FOUND;
  case 413:
    return MBP_E_LIMIT;
  case 429:
    return MBP_E_RATE;
  case 503:
  case 529:
    return MBP_E_OVERLOADED;
  default:
    return status >= 500 && status <= 599 ? MBP_E_UPSTREAM : 0;
  }
}

int openai_error_code(const struct mbp_json_v1 *json, const struct mbp_json *error, uint32_t *ret_flags)
{
  static const struct {
    const char *word;
    int code;
    uint32_t flags;
  } table[] = {
      {"insufficient_quota", MBP_E_BILLING, 0}, /* comes as 429, and does not clear by waiting */
      {"billing_hard_limit_reached", MBP_E_BILLING, 0},
      {"invalid_api_key", MBP_E_AUTH, 0},
      {"authentication_error", MBP_E_AUTH, 0},
      {"permission_error", MBP_E_PERMISSION, 0},
      {"model_not_found", MBP_E_NOT_FOUND, 0},
      {"rate_limit_exceeded", MBP_E_RATE, MBP_ERR_RETRYABLE},
      {"rate_limit_error", MBP_E_RATE, MBP_ERR_RETRYABLE},
      {"overloaded_error", MBP_E_OVERLOADED, MBP_ERR_RETRYABLE},
      {"server_error", MBP_E_UPSTREAM, MBP_ERR_RETRYABLE},
      {"invalid_request_error", MBP_E_INVALID, 0},
  };
  const struct mbp_json *code = json->get(error, "code");
  struct mbp_str words[] = {json->str(code), json->str(json->get(error, "type"))};
  for (size_t w = 0; w < 2; w++)
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
      if (mbp_str_eq(words[w], table[i].word)) {
        *ret_flags = table[i].flags;
        return table[i].code;
      }
  int64_t status = json->num(code, 0);
  return by_status(status ? status : json->num(json->get(error, "status"), 0), ret_flags);
}
