#include "host/services.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "host/http.h"
#include "host/process.h"

#include <pthread.h>
#include <string.h>

struct service {
  const char *name;
  const void *table;
};

static const struct service own[] = {
    {MBP_JSON_V1, &mag_json_table},
    {MBP_HTTP_V1, &mag_http_table},
    {MBP_PROCESS_V1, &mag_process_table},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct service added[8];
static size_t n_added;

const void *mag_service_find(const char *name)
{
  const void *table = NULL;
  for (size_t i = 0; i < MAG_COUNT(own); i++)
    if (strcmp(own[i].name, name) == 0)
      return own[i].table;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < n_added; i++)
    if (strcmp(added[i].name, name) == 0)
      table = added[i].table;
  pthread_mutex_unlock(&lock);
  return table;
}

void mag_service_add(const char *name, const void *table)
{
  if (mag_service_find(name))
    return;
  pthread_mutex_lock(&lock);
  if (n_added < MAG_COUNT(added))
    added[n_added++] = (struct service){name, table};
  pthread_mutex_unlock(&lock);
}
