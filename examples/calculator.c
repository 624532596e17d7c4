/* A tool that is a function of this program: arithmetic.
 *
 *   cc calculator.c $(pkg-config --cflags --libs magent) -lm -o calculator && ./calculator "What is (17 + 4) * 2?"
 */
#include <magent/magent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Expressions: + - * / ^ ( ) and numbers --------------------------------------------------------------------- */

struct reader {
  const char *at;
  const char *mistake; /* the first one, or NULL */
  int depth;
};

static double sum(struct reader *reader);

static char next(struct reader *reader)
{
  reader->at += strspn(reader->at, " \t");
  return *reader->at;
}

static int takes(struct reader *reader, char c)
{
  int here = next(reader) == c;
  reader->at += here;
  return here;
}

static double wrong(struct reader *reader, const char *mistake)
{
  if (!reader->mistake)
    reader->mistake = mistake;
  return 0;
}

static double atom(struct reader *reader)
{
  char *end;
  double value;
  if (reader->depth > 50)
    return wrong(reader, "too deep");
  if (takes(reader, '-')) {
    reader->depth++;
    value = -atom(reader);
    reader->depth--;
    return value;
  }
  if (takes(reader, '(')) {
    reader->depth++;
    value = sum(reader);
    reader->depth--;
    return takes(reader, ')') ? value : wrong(reader, "a ) is missing");
  }
  if (!strchr("0123456789.", next(reader)) || !*reader->at)
    return wrong(reader, "expected a number");
  value = strtod(reader->at, &end);
  if (end == reader->at)
    return wrong(reader, "expected a number");
  reader->at = end;
  return value;
}

static double power(struct reader *reader)
{
  double base = atom(reader), value = base;
  if (takes(reader, '^')) {
    if (++reader->depth > 50)
      return wrong(reader, "too deep");
    value = pow(base, power(reader));
    reader->depth--;
  }
  return value;
}

static double product(struct reader *reader)
{
  double value = power(reader);
  for (;;) {
    if (takes(reader, '*'))
      value *= power(reader);
    else if (takes(reader, '/'))
      value /= power(reader);
    else
      return value;
  }
}

static double sum(struct reader *reader)
{
  double value = product(reader);
  for (;;) {
    if (takes(reader, '+'))
      value += product(reader);
    else if (takes(reader, '-'))
      value -= product(reader);
    else
      return value;
  }
}

/* ---- The tool --------------------------------------------------------------------------------------------------- */

static int calculate(void *ctx, struct magent_tool_call *call, const char *input)
{
  struct reader reader = {magent_tool_argument(call, "expression"), NULL, 0};
  char text[128];
  double value = sum(&reader);
  (void) ctx;
  (void) input;
  if (next(&reader) && !reader.mistake)
    reader.mistake = "expected an operator";
  if (!reader.mistake && !isfinite(value))
    reader.mistake = "no finite result";
  if (reader.mistake) {
    snprintf(text, sizeof(text), "%s before \"%.40s\"", reader.mistake, reader.at);
    return magent_tool_error(call, text);
  }
  snprintf(text, sizeof(text), "%.15g", value);
  return magent_tool_text(call, text);
}

int main(int argc, char **argv)
{
  struct magent *magent = NULL;
  struct magent_agent *agent = NULL;
  struct magent_error error;
  char *answer = NULL;
  struct magent_config *config = magent_config_new();
  struct magent_tool calculator;

  memset(&calculator, 0, sizeof(calculator));
  calculator.size = sizeof(calculator);
  calculator.name = "calculator";
  calculator.description = "Evaluates a mathematical expression";
  calculator.input_schema = "{\"type\": \"object\", \"properties\": {\"expression\": {\"type\": \"string\"}},"
                            " \"required\": [\"expression\"]}";
  calculator.run = calculate;
  calculator.read_only = 1;
  magent_config_set(config, "tools", "[]"); /* no other tools */

  int failed = magent_open(NULL, &magent, &error) < 0 || magent_agent_new(magent, config, &agent, &error) < 0 ||
               magent_add_tool(agent, &calculator, &error) < 0 ||
               magent_execute(agent, argc > 1 ? argv[1] : "What is (17 + 4) * 2?", &answer, &error) != 0;
  if (failed)
    fprintf(stderr, "calculator: %s\n", error.message);
  else
    puts(answer);
  free(answer);
  magent_agent_free(agent);
  magent_close(magent);
  magent_config_free(config);
  return failed;
}
