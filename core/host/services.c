#include "host/services.h"

#include "base/json.h"

#include <stddef.h>

const struct mag_service mag_services[] = {
    {MBP_JSON_V1, &mag_json_table},
    {NULL, NULL},
};
