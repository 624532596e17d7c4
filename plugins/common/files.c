#include "plugins/common/files.h"

#include "sandbox/transfer.h"

#include <errno.h>
#include <stdio.h>

struct transfer {
  const struct mbp_put *put;
  int64_t sent;
  int input_error; /* negative MBP_E_*, from put->read */

  struct mag_get_header header;
  size_t have_header;
  int64_t limit, got;
  int (*data)(void *ctx, const char *bytes, size_t len);
  void *ctx;
  bool wrong, too_long, refused;
};

static int64_t give(void *ctx, char *buf, size_t cap)
{
  struct transfer *transfer = ctx;
  int64_t left = transfer->put->length - transfer->sent;
  if (left <= 0)
    return 0;
  int64_t n = transfer->put->read(transfer->put->ctx, buf, PLUG_MIN((int64_t) cap, left));
  if (n <= 0) {
    transfer->input_error = n < 0 ? (int) n : -MBP_E_INVALID;
    return -1;
  }
  transfer->sent += n;
  return n;
}

static int receive(void *ctx, unsigned stream, int64_t offset, const char *data, size_t len)
{
  struct transfer *transfer = ctx;
  (void) offset;
  if (stream != 1)
    return 0;
  size_t n = PLUG_MIN(len, sizeof(transfer->header) - transfer->have_header);
  memcpy((char *) &transfer->header + transfer->have_header, data, n);
  transfer->have_header += n;
  data += n;
  len -= n;
  if (transfer->have_header == sizeof(transfer->header) && transfer->header.magic != MAG_GET_MAGIC)
    transfer->wrong = true;
  transfer->got += (int64_t) len;
  transfer->too_long = transfer->limit > 0 && transfer->got > transfer->limit;
  if (transfer->wrong || transfer->too_long)
    return -1;
  if (len && transfer->data(transfer->ctx, data, len) < 0) {
    transfer->refused = true;
    return -1;
  }
  return 0;
}

static int run(const struct mag_files *files, struct mbp_call *call, struct mbp_str *argv, size_t n_argv,
               struct mbp_str path, struct transfer *transfer, struct mbp_error *err)
{
  mag_autofree char *beneath = files->beneath ? plug_printf("beneath=%s", files->beneath) : NULL;
  if (files->beneath && !beneath)
    return plug_no_memory(err);
  if (beneath)
    argv[n_argv++] = mbp_str(beneath);
  argv[n_argv++] = path;
  if (path.len == 0 || memchr(path.ptr, 0, path.len))
    return plug_error(err, MBP_E_INVALID, "an empty path, or one with a NUL");
  struct mbp_exec exec = {.size = MBP_SIZE(struct mbp_exec, spool), .argv = argv, .n_argv = n_argv};
  exec.flags = transfer->put ? MBP_EXEC_STDIN : 0;
  struct mag_exec_sink sink = {.ctx = transfer, .output = receive, .input = transfer->put ? give : NULL};
  struct mag_exec_end end;
  int r = files->exec(files->ctx, call, &exec, &sink, &end, err);
  if (r < 0)
    return r;
  int shown = (int) PLUG_MIN(path.len, (size_t) 200);
  if (transfer->input_error)
    return plug_error(err, -transfer->input_error, "put '%.*s': the content could not be read to its end", shown,
                      path.ptr);
  if (transfer->too_long || (end.result.reason == MBP_EXIT_EXITED && end.result.exit_code == EFBIG && !transfer->put))
    return plug_error(err, MBP_E_LIMIT, "get '%.*s': the file is longer than %lld bytes", shown, path.ptr,
                      (long long) transfer->limit);
  if (transfer->refused || end.result.reason == MBP_EXIT_CANCELLED)
    return transfer->wrong ? plug_error(err, MBP_E_PROTOCOL, "get '%.*s': what came back is no file", shown, path.ptr)
                           : plug_error(err, MBP_E_CANCELLED, "cancelled");
  if (end.result.reason == MBP_EXIT_EXITED && end.result.exit_code == EXDEV)
    return plug_error(err, MBP_E_PERMISSION, "'%.*s' is outside of the workspace", shown, path.ptr);
  if (end.result.reason == MBP_EXIT_EXITED && end.result.exit_code != 0)
    return plug_errno(err, end.result.exit_code, "%s '%.*s'", transfer->put ? "put" : "get", shown, path.ptr);
  if (end.result.reason != MBP_EXIT_EXITED)
    return plug_error(err, MBP_E_UNAVAILABLE, "%s '%.*s': magent-sandbox did not finish: %s",
                      transfer->put ? "put" : "get", shown, path.ptr, end.message);
  return 0;
}

int mag_files_put(const struct mag_files *files, struct mbp_call *call, const struct mbp_put *given,
                  struct mbp_error *err)
{
  struct mbp_put put = {0};
  PLUG_COPY(put, given);
  if (put.length < 0 || (put.length > 0 && !put.read))
    return plug_error(err, MBP_E_INVALID, "put: a length and a reader are needed");
  char mode[24], length[40];
  (void) snprintf(mode, sizeof(mode), "mode=%o", put.mode & 0777);
  (void) snprintf(length, sizeof(length), "length=%lld", (long long) put.length);
  struct mbp_str argv[8] = {mbp_str(files->helper), mbp_str("put"), mbp_str(mode), mbp_str(length)};
  struct transfer transfer = {.put = &put};
  return run(files, call, argv, 4, put.path, &transfer, err);
}

int mag_files_get(const struct mag_files *files, struct mbp_call *call, struct mbp_str path, int64_t limit,
                  int (*data)(void *ctx, const char *bytes, size_t len), void *ctx, struct mbp_file_info *ret_info,
                  struct mbp_error *err)
{
  char text[40];
  (void) snprintf(text, sizeof(text), "limit=%lld", (long long) (limit > 0 ? limit : 0));
  struct mbp_str argv[8] = {mbp_str(files->helper), mbp_str("get"), mbp_str(text)};
  struct transfer transfer = {.limit = limit, .data = data, .ctx = ctx};
  int r = run(files, call, argv, 3, path, &transfer, err);
  if (r == 0 && transfer.have_header != sizeof(transfer.header))
    r = plug_error(err, MBP_E_PROTOCOL, "get: what came back is no file");
  if (r == 0)
    *ret_info = (struct mbp_file_info){
        .size = MBP_SIZE(struct mbp_file_info, length), .mode = transfer.header.mode & 07777, .length = transfer.got};
  return r;
}
