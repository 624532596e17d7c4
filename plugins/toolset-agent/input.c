/* What the model gave, checked against the tool's own list; every complaint is for the model to read. */
#include "agent.h"

#define NO_NUMBER INT64_MIN

static int get_integer(const struct mbp_json_v1 *json, const struct mbp_json *value, int64_t *ret_number)
{
  if (json->type(value) != MBP_JSON_NUMBER)
    return 0;
  *ret_number = json->num(value, NO_NUMBER);
  return *ret_number != NO_NUMBER;
}

static const char *take_value(const struct mbp_json_v1 *json, const struct mbp_json *value, int type,
                              struct input *input, size_t i)
{
  input->values[i].given = 1;
  switch (type) {
  case INPUT_STRING:
    input->values[i].text = json->str(value);
    if (json->type(value) != MBP_JSON_STRING)
      return "a string";
    return input->values[i].text.len && memchr(input->values[i].text.ptr, 0, input->values[i].text.len)
               ? "a string without NUL bytes"
               : NULL;
  case INPUT_BOOLEAN:
    input->values[i].number = json->truth(value, 0);
    return json->type(value) == MBP_JSON_BOOL ? NULL : "true or false";
  case INPUT_INTEGER:
    return get_integer(json, value, &input->values[i].number) ? NULL : "a whole number";
  default: {
    const struct mbp_json *first = json->first(value);
    int right = json->type(value) == MBP_JSON_ARRAY && json->count(value) == 2 &&
                get_integer(json, first, &input->values[i].number) &&
                get_integer(json, json->next(first), &input->values[i].second);
    return right ? NULL : "an array of two whole numbers";
  }
  }
}

static int check_members(const struct mbp_json_v1 *json, const struct tool *tool, struct input *input,
                         struct text *problem)
{
  const char *names[N_INPUTS + 1] = {NULL};
  for (size_t i = 0; i < N_INPUTS && tool->inputs[i].name; i++)
    names[i] = tool->inputs[i].name;
  for (const struct mbp_json *member = json->first(input->document); member; member = json->next(member)) {
    struct mbp_str key = json->key(member);
    size_t i = 0;
    while (names[i] && !mbp_str_eq(key, names[i]))
      i++;
    if (!names[i]) {
      const char *near = nearest(key, names);
      text_printf(problem, "%s: unknown property \"%.*s\"", tool->name, (int) (key.len < 64 ? key.len : 64), key.ptr);
      if (near)
        text_printf(problem, "; did you mean \"%s\"?", near);
      return 1;
    }
    if (json->type(member) == MBP_JSON_NULL && !tool->inputs[i].required)
      continue; /* some models write what they leave out */
    const char *wanted = take_value(json, member, tool->inputs[i].type, input, i);
    if (wanted) {
      text_printf(problem, "%s: %s must be %s", tool->name, names[i], wanted);
      return 1;
    }
  }
  for (size_t i = 0; names[i]; i++)
    if (tool->inputs[i].required && !input->values[i].given) {
      text_printf(problem, "%s: %s is missing", tool->name, names[i]);
      return 1;
    }
  return 0;
}

int input_parse(const struct mbp_json_v1 *json, const struct tool *tool, struct mbp_str text, struct input *ret_input,
                struct text *problem)
{
  struct mbp_error err = {.size = MBP_SIZE(struct mbp_error, message)};
  *ret_input = (struct input){0};
  if (json->parse(text, &ret_input->document, &err) < 0) {
    text_printf(problem, "%s: the input is not valid JSON: %s", tool->name, err.message);
    return 1;
  }
  if (json->type(ret_input->document) != MBP_JSON_OBJECT) {
    text_printf(problem, "%s: the input must be an object", tool->name);
    return 1;
  }
  return check_members(json, tool, ret_input, problem);
}
