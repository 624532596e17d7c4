/* Logs of a session: whatever records hold, the fold refuses by name or what it made can be projected, legally.
 *
 * An input is lines "CLASS TYPE PAYLOAD"; sequence numbers are given here. CLASS is one digit. A line that begins
 * with '=' gives the record the number that follows instead.
 */
#include "agent/project.h"
#include "agent/state.h"
#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 500

static void must(int condition)
{
  if (!condition)
    abort();
}

/* Every call is answered by the next message, and there is nothing empty. */
static void check_projection(const struct mag_state *state, const char *provider)
{
  struct mag_projection p;
  struct mbp_error err = MAG_ERROR_INIT;
  if (mag_project(state, provider, &p, &err) < 0)
    return;
  for (size_t i = 0; i < p.n; i++) {
    struct mbp_str block, type, content = p.messages[i].content;
    size_t at = 0, uses = 0, results = 0;
    must(mag_json_check(content, NULL) == 0 && content.len > 2);
    while (mag_json_step(content, &at, NULL, &block))
      uses += mag_json_slice(block, "type", &type) && mbp_str_eq(type, "\"tool_use\"");
    if (!uses || p.messages[i].role != MBP_ROLE_ASSISTANT)
      continue;
    must(i + 1 < p.n && p.messages[i + 1].role == MBP_ROLE_USER);
    at = 0;
    while (mag_json_step(p.messages[i + 1].content, &at, NULL, &block))
      results += mag_json_slice(block, "type", &type) && mbp_str_eq(type, "\"tool_result\"");
    must(results == uses);
  }
  mag_projection_done(&p);
}

/* "1 user.message {...}" */
static int read_record(struct mbp_str line, struct mbp_record *record)
{
  const char *end = line.ptr + line.len, *type, *payload;
  if (line.len < 4 || line.ptr[0] < '0' || line.ptr[0] > '9' || line.ptr[1] != ' ')
    return 0;
  type = line.ptr + 2;
  payload = memchr(type, ' ', (size_t) (end - type));
  if (!payload)
    return 0;
  record->klass = (uint32_t) (line.ptr[0] - '0');
  record->type = mbp_str_n(type, (size_t) (payload - type));
  record->payload = mbp_str_n(payload + 1, (size_t) (end - payload - 1));
  return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct mag_state state;
  struct mbp_error err = MAG_ERROR_INIT;
  uint64_t seq = 0;
  size_t at = 0, n = 0;
  int r = 0;
  mag_state_init(&state);
  while (at < size && n < RECORDS_MAX && r == 0) {
    const uint8_t *newline = memchr(data + at, '\n', size - at);
    size_t len = newline ? (size_t) (newline - data) - at : size - at;
    struct mbp_str line = mbp_str_n((const char *) data + at, len);
    struct mbp_record record = {.seq = ++seq};
    at += len + 1;
    if (line.len && line.ptr[0] == '=') {
      record.seq = 7;
      line = mbp_str_n(line.ptr + 1, line.len - 1);
    }
    if (!read_record(line, &record)) {
      seq--;
      continue;
    }
    n++;
    r = mag_state_fold(&state, &record, &err);
    must(r == 0 || (r < 0 && err.message[0]));
    if (r == 0 && !state.read_only) {
      check_projection(&state, "anthropic");
      check_projection(&state, "openai");
      (void) mag_state_owes(&state);
    }
  }
  free(mag_state_summary(&state));
  mag_state_done(&state);
  return 0;
}
