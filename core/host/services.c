#include "host/services.h"

#include "base/json.h"
#include "host/process.h"

#include <stddef.h>

const struct mag_service mag_services[] = {
    {MBP_JSON_V1, &mag_json_table},
    {MBP_PROCESS_V1, &mag_process_table},
    {NULL, NULL},
};
