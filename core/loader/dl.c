#include "loader/dl.h"

#include "base/error.h"

#include <dlfcn.h>
#include <string.h>
#ifdef WITH_LTDL
#include <ltdl.h>
#include <pthread.h>
#include <stdbool.h>
#endif

/* Turns the dynamic linker's text into one that says what to do. It begins with the name of the file at fault, which is
 * the plugin itself only where the plugin is at fault. */
static int explain(const char *path, const char *text, struct mbp_error *err)
{
  size_t n = strlen(path);
  if (!text)
    text = "no reason given";
  if (strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0)
    text += n + 2;
  else if (strstr(text, "cannot open shared object file"))
    return mag_error(err, MBP_E_UNAVAILABLE, "missing dependency: %s: install that library", text);
  if (strncmp(text, "undefined symbol", 16) == 0 || strstr(text, "symbol lookup error"))
    return mag_error(err, MBP_E_UNAVAILABLE,
                     "unresolved symbol: %s: link the plugin with -z defs and with all that it uses", text);
  return mag_error(err, MBP_E_UNAVAILABLE, "cannot be loaded: %s", text);
}

#ifdef WITH_LTDL

/* libltdl has no locking of its own. */
static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;

static lt_dlhandle open_locked(const char *path)
{
  static bool ready;
  lt_dladvise advise;
  if (!ready && lt_dlinit() != 0)
    return NULL;
  ready = true;
  if (lt_dladvise_init(&advise) != 0)
    return NULL;
  lt_dlhandle module = NULL;
  if (lt_dladvise_local(&advise) == 0 && lt_dladvise_resident(&advise) == 0)
    module = lt_dlopenadvise(path, advise);
  lt_dladvise_destroy(&advise);
  return module;
}

int mag_dl_open(const char *path, void **ret_module, struct mbp_error *err)
{
  pthread_mutex_lock(&the_lock);
  lt_dlhandle module = open_locked(path);
  pthread_mutex_unlock(&the_lock);
  if (!module) {
    /* libltdl says "file not found" whatever the fault; dlopen knows better, so it is asked for its words. */
    const char *text = dlopen(path, RTLD_NOW | RTLD_LOCAL) ? "libltdl cannot open it, dlopen can" : dlerror();
    return explain(path, text, err);
  }
  *ret_module = module;
  return 0;
}

void *mag_dl_symbol(void *module, const char *name)
{
  pthread_mutex_lock(&the_lock);
  void *symbol = lt_dlsym(module, name);
  pthread_mutex_unlock(&the_lock);
  return symbol;
}

#else

int mag_dl_open(const char *path, void **ret_module, struct mbp_error *err)
{
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module)
    return explain(path, dlerror(), err);
  *ret_module = module;
  return 0;
}

void *mag_dl_symbol(void *module, const char *name)
{
  return dlsym(module, name);
}

#endif
