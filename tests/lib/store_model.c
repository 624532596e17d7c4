/* Random operations against a simple model of a store. */
#include "store_subject.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define MODEL_SESSIONS 6
#define MODEL_RECORDS 64

struct model {
  bool exists[MODEL_SESSIONS], claimed[MODEL_SESSIONS];
  unsigned epoch[MODEL_SESSIONS], k[MODEL_SESSIONS], born[MODEL_SESSIONS];
  unsigned n[MODEL_SESSIONS], records[MODEL_SESSIONS][MODEL_RECORDS];
  unsigned next, births;
};

static unsigned random_state;

static unsigned below(unsigned n)
{
  random_state = random_state * 1103515245u + 12345u;
  return (random_state >> 16) % n;
}

static const char *name_of(unsigned i)
{
  static const char *const names[MODEL_SESSIONS] = {"s0", "s1", "s2", "s3", "s4", "s5"};
  return names[i];
}

static void check_model(struct store_client *client, const struct model *model)
{
  mag_autobuf sessions = MAG_BUF_INIT;
  for (unsigned birth = 1; birth <= model->births; birth++)
    for (unsigned i = 0; i < MODEL_SESSIONS; i++)
      if (model->exists[i] && model->born[i] == birth && model->k[i] == 1)
        mag_buf_printf(&sessions, "%s=%u ", name_of(i), model->n[i]);
  list_is(client, NULL, "{\"k\":1}", false, sessions.len ? sessions.ptr : "");
  for (unsigned i = 0; i < MODEL_SESSIONS; i++) {
    mag_autobuf log = MAG_BUF_INIT;
    struct mbp_head head;
    for (unsigned j = 0; j < model->n[i]; j++)
      mag_buf_printf(&log, "%u:%u ", j + 1, model->records[i][j]);
    if (!model->exists[i]) {
      FAILS(client, store_client_head(client, name_of(i), &head), MBP_E_NOT_FOUND);
      continue;
    }
    log_is(client, name_of(i), log.len ? log.ptr : "");
    OK(client, store_client_head(client, name_of(i), &head));
    ck_assert_uint_eq(head.epoch, model->epoch[i]);
    ck_assert_uint_eq(head.last, model->n[i]);
    ck_assert_uint_eq(head.claimed, model->claimed[i]);
  }
}

static void model_create(struct store_client *client, struct model *model, unsigned i)
{
  char payload[16];
  (void) snprintf(payload, sizeof(payload), "%u", ++model->next);
  unsigned k = below(2);
  int r = store_client_create(client, name_of(i), payload, k ? "{\"k\":1}" : "{\"k\":0}");
  ck_assert_int_eq(r, model->exists[i] ? -MBP_E_EXISTS : 0);
  if (r < 0)
    return;
  model->exists[i] = true;
  model->claimed[i] = false;
  model->epoch[i] = 0;
  model->k[i] = k;
  model->born[i] = ++model->births;
  model->n[i] = 1;
  model->records[i][0] = model->next;
}

static void model_append(struct store_client *client, struct model *model, unsigned i)
{
  char payload[16];
  uint64_t epoch = below(3) ? model->epoch[i] : below(4), expected = below(3) ? MBP_SEQ_ANY : model->n[i] + below(2);
  if (model->n[i] == MODEL_RECORDS)
    return;
  (void) snprintf(payload, sizeof(payload), "%u", ++model->next);
  int wanted = epoch == 0                                           ? -MBP_E_INVALID
               : !model->exists[i]                                  ? -MBP_E_NOT_FOUND
               : epoch != model->epoch[i]                           ? -MBP_E_CONFLICT
               : expected != MBP_SEQ_ANY && expected != model->n[i] ? -MBP_E_CONFLICT
                                                                    : 0;
  ck_assert_int_eq(store_client_private(client, name_of(i), epoch, expected, payload), wanted);
  if (wanted == 0)
    model->records[i][model->n[i]++] = model->next;
}

static void model_fork(struct store_client *client, struct model *model, unsigned i, unsigned j)
{
  unsigned upto = below(model->n[i] + 2);
  int wanted = model->exists[j]     ? -MBP_E_EXISTS
               : !model->exists[i]  ? -MBP_E_NOT_FOUND
               : upto > model->n[i] ? -MBP_E_INVALID
                                    : 0;
  ck_assert_int_eq(store_client_fork(client, name_of(i), upto, name_of(j), "{\"k\":1}"), wanted);
  if (wanted < 0)
    return;
  model->exists[j] = true;
  model->claimed[j] = false;
  model->epoch[j] = model->epoch[i];
  model->k[j] = 1;
  model->born[j] = ++model->births;
  model->n[j] = upto;
  memcpy(model->records[j], model->records[i], upto * sizeof(model->records[i][0]));
}

static void model_step(struct store_client *client, struct model *model)
{
  unsigned i = below(MODEL_SESSIONS), j = below(MODEL_SESSIONS);
  switch (below(10)) {
  case 0:
    model_create(client, model, i);
    break;
  case 1:
    model_fork(client, model, i, j);
    break;
  case 2: {
    int wanted = !model->exists[i] ? -MBP_E_NOT_FOUND : model->claimed[i] ? -MBP_E_BUSY : 0;
    ck_assert_int_eq(store_client_remove(client, name_of(i)), wanted);
    if (wanted == 0) {
      model->exists[i] = false;
      model->n[i] = 0;
    }
    break;
  }
  case 3:
  case 4: {
    int wanted = !model->exists[i] ? -MBP_E_NOT_FOUND : model->claimed[i] ? -MBP_E_BUSY : 0;
    ck_assert_int_eq(store_client_claim(client, name_of(i), NULL), wanted);
    if (wanted == 0) {
      model->claimed[i] = true;
      model->epoch[i]++;
    }
    break;
  }
  case 5:
    store_client_release(client, name_of(i));
    model->claimed[i] = false;
    break;
  default:
    model_append(client, model, i);
  }
}

START_TEST(random_operations_agree_with_a_simple_model)
{
  struct model model = {.next = 0};
  struct store_client client = subject_fresh();
  random_state = (unsigned) mag_clock_monotonic_ns();
  (void) printf("# random operations: seed %u\n", random_state);
  for (int i = 0; i < 1500; i++) {
    model_step(&client, &model);
    if (i % 50 == 0)
      check_model(&client, &model);
    if (i % 300 == 299) {
      store_client_close(&client); /* frees the claims */
      memset(model.claimed, 0, sizeof(model.claimed));
      client = subject_again();
    }
  }
  check_model(&client, &model);
  store_client_close(&client);
}
END_TEST

void store_model_add(TCase *tests)
{
  tcase_add_test(tests, random_operations_agree_with_a_simple_model);
}
