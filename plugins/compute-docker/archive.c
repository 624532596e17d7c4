/* Tar streams of the engine's archive calls, by libarchive. */
#include "plugins/compute-docker/docker.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define HELPER_MAX (64 << 20)
#define PIECE 65536

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

struct bytes {
  char *ptr;
  size_t len, cap;
};

static la_ssize_t add_bytes(struct archive *archive, void *ctx, const void *data, size_t len)
{
  struct bytes *bytes = ctx;
  if (bytes->len + len > bytes->cap) {
    size_t cap = 2 * (bytes->len + len) + 4096;
    char *ptr = realloc(bytes->ptr, cap);
    if (!ptr) {
      archive_set_error(archive, ENOMEM, "out of memory");
      return -1;
    }
    bytes->ptr = ptr;
    bytes->cap = cap;
  }
  memcpy(bytes->ptr + bytes->len, data, len);
  bytes->len += len;
  return (la_ssize_t) len;
}

struct member {
  const char *path; /* without a leading slash */
  unsigned mode, type;
  int64_t size;
  int64_t uid, gid;
};

static int add_member(struct archive *archive, const struct member *member)
{
  struct archive_entry *entry = archive_entry_new();
  if (!entry)
    return ARCHIVE_FATAL;
  archive_entry_set_pathname(entry, member->path);
  archive_entry_set_filetype(entry, member->type);
  archive_entry_set_perm(entry, (mode_t) member->mode);
  archive_entry_set_uid(entry, member->uid);
  archive_entry_set_gid(entry, member->gid);
  archive_entry_set_mtime(entry, 0, 0);
  archive_entry_set_size(entry, member->size);
  int r = archive_write_header(archive, entry);
  archive_entry_free(entry);
  return r;
}

/* ---- The new sandbox -------------------------------------------------------------------------------------------- */

static int read_helper(const char *path, char **ret_bytes, size_t *ret_len, struct mbp_error *err)
{
  struct stat st;
  mag_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0)
    return plug_error(err, MBP_E_UNAVAILABLE,
                      "magent-sandbox, which runs the commands, is not at %s: install magent whole, or set `helper`",
                      path);
  mag_autofree char *bytes = st.st_size > 0 && st.st_size < HELPER_MAX ? malloc((size_t) st.st_size) : NULL;
  size_t len = (size_t) st.st_size, at = 0;
  for (ssize_t n; bytes && at < len && (n = read(fd, bytes + at, len - at)) > 0;)
    at += (size_t) n;
  if (!bytes || at != len || len < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0)
    return plug_error(err, MBP_E_INVALID, "%s is no program: set `helper` to magent-sandbox", path);
  *ret_bytes = bytes;
  *ret_len = len;
  bytes = NULL;
  return 0;
}

/* A program that wants a loader and libraries would find others in the image, or none. */
static bool is_static(const char *bytes, size_t len)
{
  Elf64_Ehdr head;
  memcpy(&head, bytes, sizeof(head));
  for (unsigned i = 0; i < head.e_phnum; i++) {
    Elf64_Phdr part;
    uint64_t at = head.e_phoff + (uint64_t) i * sizeof(part);
    if (head.e_phoff > len || at + sizeof(part) > len)
      return false;
    memcpy(&part, bytes + at, sizeof(part));
    if (part.p_type == PT_INTERP)
      return false;
  }
  return true;
}

/* The helper belongs to root and cannot be read by others: then no process of the agent's can trace it or look into it,
 * from its first instruction on. Its directory comes after those of the user, which may be links to it. */
static int add_all(struct archive *archive, const char *helper, size_t helper_len, const char *working_dir, int64_t uid,
                   int64_t gid)
{
  const struct member members[] = {
      {&DOCKER_HOME[1], 0755, AE_IFDIR, 0, uid, gid},
      {working_dir + 1, 0755, AE_IFDIR, 0, uid, gid},
      {&DOCKER_DIRECTORY[1], 0755, AE_IFDIR, 0, 0, 0},
      {&DOCKER_HELPER[1], 0111, AE_IFREG, (int64_t) helper_len, 0, 0},
  };
  int r = ARCHIVE_OK;
  for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && r == ARCHIVE_OK; i++)
    r = add_member(archive, &members[i]);
  if (r == ARCHIVE_OK && archive_write_data(archive, helper, helper_len) != (la_ssize_t) helper_len)
    r = ARCHIVE_FATAL;
  return r;
}

int archive_of_sandbox(struct mbp_instance *instance, const char *working_dir, char **ret_bytes, size_t *ret_len,
                       struct mbp_error *err)
{
  const char *user = docker_option(instance, "user", "1000:1000"), *path = docker_option(instance, "helper", "");
  const char *colon = strchr(user, ':');
  mag_autofree char *helper = NULL;
  size_t helper_len = 0;
  struct bytes bytes = {0};
  int r = read_helper(path, &helper, &helper_len, err);
  if (r < 0)
    return r;
  if (!is_static(helper, helper_len))
    return plug_error(err, MBP_E_UNSUPPORTED,
                      "%s is not linked statically, so it cannot run in other systems' images: build it where static "
                      "libraries are, or set `helper`",
                      path);
  struct archive *archive = archive_write_new();
  if (!archive || archive_write_set_format_ustar(archive) != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(archive, 65536) != ARCHIVE_OK ||
      archive_write_open(archive, &bytes, NULL, add_bytes, NULL) != ARCHIVE_OK)
    r = -1;
  int64_t uid = strtoll(user, NULL, 10), gid = colon ? strtoll(colon + 1, NULL, 10) : uid;
  if (r == 0 && add_all(archive, helper, helper_len, working_dir, uid, gid) != ARCHIVE_OK)
    r = -1;
  if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
    r = -1;
  if (r < 0)
    r = plug_error(err, MBP_E_INTERNAL, "the sandbox's archive cannot be made: %s",
                   archive ? archive_error_string(archive) : "out of memory");
  (void) archive_write_free(archive);
  if (r < 0) {
    free(bytes.ptr);
  } else {
    *ret_bytes = bytes.ptr;
    *ret_len = bytes.len;
  }
  return r;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

struct source {
  const struct mbp_http_v1 *http;
  struct mbp_http *exchange;
  struct mbp_error *err;
  int failed; /* negative MBP_E_* */
  char bytes[PIECE];
};

static la_ssize_t read_source(struct archive *archive, void *ctx, const void **ret_bytes)
{
  struct source *source = ctx;
  int64_t n = source->http->read(source->exchange, source->bytes, sizeof(source->bytes), source->err);
  *ret_bytes = source->bytes;
  if (n < 0) {
    source->failed = (int) n;
    archive_set_error(archive, EIO, "cut");
  }
  return (la_ssize_t) (n < 0 ? -1 : n);
}

struct wanted {
  const char *path;
  int64_t limit;
  int (*data)(void *ctx, const char *bytes, size_t len);
  void *ctx;
};

static int pass_on(struct archive *archive, const struct wanted *wanted, int64_t length, struct mbp_error *err)
{
  char *buf = malloc(PIECE);
  int64_t got = 0;
  int r = buf ? 0 : plug_no_memory(err);
  while (r == 0 && got < length) {
    la_ssize_t n = archive_read_data(archive, buf, (size_t) PLUG_MIN(length - got, (int64_t) PIECE));
    if (n <= 0)
      r = plug_error(err, MBP_E_PROTOCOL, "get '%.200s': the archive was cut", wanted->path);
    else if (wanted->data(wanted->ctx, buf, (size_t) n) < 0)
      r = plug_error(err, MBP_E_CANCELLED, "cancelled");
    else
      got += n;
  }
  free(buf);
  return r;
}

static int take_member(struct archive *archive, const struct wanted *wanted, struct mbp_file_info *ret_info,
                       struct mbp_error *err)
{
  struct archive_entry *entry;
  if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
    return plug_error(err, MBP_E_PROTOCOL, "get '%.200s': the engine sent no archive", wanted->path);
  int64_t length = archive_entry_size(entry);
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || length < 0)
    return plug_error(err, MBP_E_INVALID, "get '%.200s': it is no regular file", wanted->path);
  if (wanted->limit > 0 && length > wanted->limit)
    return plug_error(err, MBP_E_LIMIT, "get '%.200s': the file is longer than %lld bytes", wanted->path,
                      (long long) wanted->limit);
  *ret_info = (struct mbp_file_info){.size = MBP_SIZE(struct mbp_file_info, length),
                                     .mode = (uint32_t) archive_entry_perm(entry) & 07777,
                                     .length = length};
  return pass_on(archive, wanted, length, err);
}

static int read_archive(struct engine *engine, struct mbp_http *exchange, const struct wanted *wanted,
                        struct mbp_file_info *ret_info, struct mbp_error *err)
{
  struct mbp_error cut = PLUG_ERROR_INIT;
  struct source *source = calloc(1, sizeof(*source));
  struct archive *archive = source ? archive_read_new() : NULL;
  int r;
  if (source)
    *source = (struct source){.http = engine->http, .exchange = exchange, .err = &cut};
  if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK)
    r = plug_no_memory(err);
  else if (archive_read_open(archive, source, NULL, read_source, NULL) != ARCHIVE_OK)
    r = plug_error(err, MBP_E_PROTOCOL, "get '%.200s': the engine sent no archive", wanted->path);
  else
    r = take_member(archive, wanted, ret_info, err);
  if (r < 0 && source && source->failed) {
    r = source->failed;
    if (err)
      *err = cut;
  }
  (void) archive_read_free(archive);
  free(source);
  return r;
}

/* What an engine does not see of a container. */
static bool is_mounted(const char *path)
{
  return strncmp(path, "/tmp/", 5) == 0 || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

int archive_get(struct box *box, struct mbp_call *call, struct mbp_str path, int64_t limit,
                int (*data)(void *ctx, const char *bytes, size_t len), void *ctx, struct mbp_file_info *ret_info,
                struct mbp_error *err)
{
  struct engine *engine = &box->instance->engine;
  bool relative = path.len == 0 || path.ptr[0] != '/';
  if (path.len == 0 || memchr(path.ptr, 0, path.len))
    return plug_error(err, MBP_E_INVALID, "an empty path, or one with a NUL");
  mag_autofree char *whole =
      plug_printf("%s%s%.*s", relative ? box->working_dir : "", relative ? "/" : "", (int) path.len, path.ptr);
  mag_autofree char *escaped = whole ? engine_escape(mbp_str(whole)) : NULL;
  mag_autofree char *url = escaped ? plug_printf("/containers/%s/archive?path=%s", box->name, escaped) : NULL;
  const struct ask ask = {0};
  const struct wanted wanted = {.path = whole, .limit = limit, .data = data, .ctx = ctx};
  struct mbp_http *exchange;
  if (!url)
    return plug_no_memory(err);
  int r = engine_ask(engine, call, url, &ask, &exchange, err);
  if (r < 0)
    return r;
  if (engine->http->status(exchange) / 100 == 2)
    r = read_archive(engine, exchange, &wanted, ret_info, err);
  else if (engine->http->status(exchange) == 404 && is_mounted(whole))
    r = plug_error(err, MBP_E_BUSY,
                   "get '%.200s': while a sandbox is suspended its memory file systems cannot be read: "
                   "resume it first",
                   whole);
  else
    r = engine_fail(engine, exchange, "get", err);
  engine->http->close(exchange);
  return r;
}
