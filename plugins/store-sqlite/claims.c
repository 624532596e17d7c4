/* Claims: one byte of a lock file for each session, locked for as long as the claim is held.
 *
 * The lock belongs to the open file description, so the kernel frees it when the process dies, however it dies, and two
 * instances in one process exclude each other. Within one instance, which has one description, the list does it. Should
 * somebody delete the lock file, the epoch still keeps the older runner from writing. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct flock byte_of(int64_t id, short type)
{
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = id, .l_len = 1};
}

/* The lock is held. */
static int open_file(struct store_claims *claims, struct mbp_error *err)
{
  char text[100];
  if (claims->fd < 0)
    claims->fd = open(claims->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (claims->fd >= 0)
    return 0;
  int number = errno, code = number == EROFS || number == EACCES    ? MBP_E_READ_ONLY
                             : number == ENOSPC || number == EDQUOT ? MBP_E_NO_SPACE
                             : number == EMFILE || number == ENFILE ? MBP_E_LIMIT
                                                                    : MBP_E_UNAVAILABLE;
  return store_error(err, code, "cannot open %.250s: %s", claims->path, strerror_r(number, text, sizeof(text)));
}

static struct store_claim **place_of(struct store_claims *claims, int64_t id)
{
  struct store_claim **place = &claims->first;
  while (*place && (*place)->id != id)
    place = &(*place)->next;
  return place;
}

static int lock_byte(struct store_claims *claims, int64_t id, struct mbp_str name, struct mbp_error *err)
{
  char text[100];
  struct flock range = byte_of(id, F_WRLCK);
  int r = open_file(claims, err);
  if (r < 0 || fcntl(claims->fd, F_OFD_SETLK, &range) == 0)
    return r;
  if (errno == EAGAIN || errno == EACCES)
    return store_error(err, MBP_E_BUSY, "session %.*s is being run by another process", (int) name.len, name.ptr);
  return store_error(err, MBP_E_UNAVAILABLE, "%.250s: cannot lock: %s", claims->path,
                     strerror_r(errno, text, sizeof(text)));
}

int store_claim_take(struct mbp_instance *instance, int64_t id, struct mbp_str name, struct mbp_error *err)
{
  struct store_claims *claims = &instance->claims;
  struct store_claim *claim = calloc(1, sizeof(*claim));
  if (!claim)
    return store_no_memory(err);
  claim->id = id;
  memcpy(claim->name, name.ptr, name.len);
  pthread_mutex_lock(&claims->lock);
  int r = *place_of(claims, id)
              ? store_error(err, MBP_E_BUSY, "session %.*s is being run by this process", (int) name.len, name.ptr)
              : lock_byte(claims, id, name, err);
  if (r == 0) {
    claim->next = claims->first;
    claims->first = claim;
    claim = NULL;
  }
  pthread_mutex_unlock(&claims->lock);
  free(claim);
  return r;
}

/* The lock is held. */
static void drop(struct store_claims *claims, struct store_claim **place)
{
  struct store_claim *claim = *place;
  if (!claim)
    return;
  struct flock range = byte_of(claim->id, F_UNLCK);
  (void) fcntl(claims->fd, F_OFD_SETLK, &range);
  *place = claim->next;
  free(claim);
}

void store_claim_drop(struct mbp_instance *instance, int64_t id)
{
  struct store_claims *claims = &instance->claims;
  pthread_mutex_lock(&claims->lock);
  drop(claims, place_of(claims, id));
  pthread_mutex_unlock(&claims->lock);
}

void store_claim_drop_name(struct mbp_instance *instance, struct mbp_str name)
{
  struct store_claims *claims = &instance->claims;
  pthread_mutex_lock(&claims->lock);
  struct store_claim **place = &claims->first;
  while (*place && !mbp_str_eq(name, (*place)->name))
    place = &(*place)->next;
  drop(claims, place);
  pthread_mutex_unlock(&claims->lock);
}

bool store_claim_held(struct mbp_instance *instance, int64_t id)
{
  struct store_claims *claims = &instance->claims;
  struct flock range = byte_of(id, F_WRLCK);
  pthread_mutex_lock(&claims->lock);
  bool held = *place_of(claims, id) != NULL;
  if (!held && claims->fd < 0)
    claims->fd = open(claims->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  int fd = claims->fd;
  if (!held && fd < 0) /* a reader without the right to write may still ask */
    fd = open(claims->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (!held && fd >= 0)
    held = fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
  if (fd != claims->fd)
    (void) close(fd);
  pthread_mutex_unlock(&claims->lock);
  return held;
}

void store_claims_done(struct store_claims *claims)
{
  while (claims->first) {
    struct store_claim *claim = claims->first;
    claims->first = claim->next;
    free(claim);
  }
  if (claims->fd >= 0)
    (void) close(claims->fd); /* frees the locks */
  free(claims->path);
  pthread_mutex_destroy(&claims->lock);
}
