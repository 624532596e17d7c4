/* protocol.h - what is said between the host and `magent-sandbox init`, over one SOCK_SEQPACKET socket.
 *
 * One message is one fixed struct, in the machine's own byte order: both ends run on the same machine. The host sends
 * requests, init sends replies. Everything variable of a request (argv, environment, paths) is in a memory file whose
 * descriptor goes with it, before the child's ends of the pipes that the host has made: no descriptor ever comes out of
 * a sandbox, and no byte of output goes through init.
 *
 * Neither end waits for the other: init keeps one pending word per process and sends when there is room; what the host
 * receives is checked for size, magic and known op, and a reply for an unknown id is dropped. Replies about a process
 * come in the order (STARTED LIMIT* EXITED | FAILED) GONE; init ends when the socket is closed, and takes everything
 * with it.
 */
#ifndef MAGENT_SANDBOX_PROTOCOL_H
#define MAGENT_SANDBOX_PROTOCOL_H

#include <stdint.h>

#define MAG_BOX_MAGIC 0x6d624f32u /* changes with the layout: both ends are always of one build */
#define MAG_BOX_CONTROL_FD 3      /* init's end of the socket */
#define MAG_BOX_SLOTS 256         /* processes with something still alive */
#define MAG_BOX_BLOB (2u << 20)   /* bytes of argv, environment and paths of one process */
#define MAG_BOX_MAX_FDS 4         /* blob, stdin, stdout, stderr */

/* Requests */
#define MAG_BOX_EXEC 1u   /* start `id`; descriptors: blob, then those of MAG_BOX_HAS_* in that order */
#define MAG_BOX_SIGNAL 2u /* `signal` to process `id` */

#define MAG_BOX_HAS_STDIN 0x1u /* else /dev/null */
#define MAG_BOX_HAS_STDOUT 0x2u
#define MAG_BOX_HAS_STDERR 0x4u
#define MAG_BOX_MERGE 0x8u /* stderr is stdout */
#define MAG_BOX_SPOOL 0x10u /* stdout and stderr go to the file that the blob names */
#define MAG_BOX_TREE 0x20u /* SIGNAL: to everything that the process has started, too. KILL leaves nothing */

struct mag_box_request {
  uint32_t magic;
  uint32_t op;
  uint32_t id; /* chosen by the host, never used twice */
  uint32_t flags;
  uint32_t argc, envc;
  uint32_t blob_len; /* 0-terminated strings: cwd, spool, argc of argv, envc of "NAME=value" */
  uint32_t signal;
  uint64_t spool_limit; /* bytes that the spool file may have; what is beyond is dropped */
};

/* Replies */
#define MAG_BOX_READY 16u   /* the sandbox stands; value: MAG_BOX_MAGIC again */
#define MAG_BOX_STARTED 17u /* value: the pid as the sandbox sees it */
#define MAG_BOX_FAILED 18u  /* value: errno; extra: MAG_BOX_AT_* */
#define MAG_BOX_EXITED 19u  /* value: exit code, or 128 + signal; extra: the signal or 0 */
#define MAG_BOX_GONE 20u    /* nothing of it is left */

#define MAG_BOX_LIMIT 21u   /* value: MAG_BOX_LIMIT_*; it was killed for that, or a part of it. At most once for each */

#define MAG_BOX_LIMIT_MEMORY 1
#define MAG_BOX_LIMIT_TASKS 2

#define MAG_BOX_AT_INIT 1 /* no room, bad request: nothing was made, and no GONE follows */
#define MAG_BOX_AT_FORK 2
#define MAG_BOX_AT_CWD 3
#define MAG_BOX_AT_SPOOL 4
#define MAG_BOX_AT_EXEC 5

struct mag_box_reply {
  uint32_t magic;
  uint32_t op;
  uint32_t id;
  int32_t value;
  int32_t extra;
  uint32_t reserved;
};

#endif
