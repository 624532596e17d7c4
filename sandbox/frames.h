/* frames.h - what is said between a host and `magent-sandbox serve`, over any stream of bytes: the one of a container
 * engine's exec, at whose other end `magent-sandbox connect` has handed its stdin and stdout to the server.
 *
 * A frame is a head and `len` bytes, in the machine's own byte order (both ends run on the same architecture; HELLO
 * shows it). A connection serves one request at a time; whoever wants two things at once has two connections. What
 * belongs to a process survives its connections: a command is named by its key, its output by offsets, so that a host
 * that has lost its connection, or its life, goes on where it was.
 *
 * Output waits in the server until it has been acknowledged, at most MAG_FRAME_WINDOW bytes of each stream; then the
 * process is held, as by a full pipe. Every byte from the server is hostile: see plugins/common/frame.h.
 */
#ifndef MAGENT_SANDBOX_FRAMES_H
#define MAGENT_SANDBOX_FRAMES_H

#include <stdint.h>

#define MAG_FRAME_MAGIC 0x6d674632u     /* changes with the layout */
#define MAG_FRAME_WINDOW (256u << 10)
#define MAG_FRAME_DATA (32u << 10)      /* bytes of output or input in a frame */
#define MAG_FRAME_MAX (2u << 20)        /* of a request: argv and environment */
#define MAG_FRAME_REPLY_MAX (64u << 10) /* of an answer */
#define MAG_FRAME_KEY 64                /* with its 0 */

struct mag_frame {
  uint32_t op;
  uint32_t len;
};

/* ---- Requests --------------------------------------------------------------------------------------------------- */

#define MAG_FRAME_EXEC 1u   /* mag_frame_exec, strings */
#define MAG_FRAME_ATTACH 2u /* mag_frame_attach */
#define MAG_FRAME_ACK 3u    /* mag_frame_ack: during EXEC and ATTACH; no answer */
#define MAG_FRAME_DETACH 4u /* nothing: DONE, and the process lives on */
#define MAG_FRAME_SIGNAL 5u /* mag_frame_signal: DONE; an unknown process is no error */
#define MAG_FRAME_WRITE 6u  /* mag_frame_write, data: WROTE, once the process's pipe has taken it */
#define MAG_FRAME_LIST 7u   /* nothing: PROCESS ..., DONE */
#define MAG_FRAME_TOUCH 8u  /* nothing: DONE */

#define MAG_EXEC_BACKGROUND 0x1u /* ends with STARTED; output goes to the file `spool` */
#define MAG_EXEC_STDIN 0x2u
#define MAG_EXEC_MERGE 0x8u

/* The same `serial` again is the same command: it is attached to, not started twice, if `attempt` is higher than any
 * before (a request that comes late on an old connection is refused). Strings, 0-terminated: cwd, spool, argc of argv,
 * envc of "NAME=value". */
struct mag_frame_exec {
  char key[MAG_FRAME_KEY];
  uint64_t serial;
  uint32_t attempt;
  uint32_t flags; /* MAG_EXEC_* */
  uint32_t argc, envc;
  int64_t soft_ms, hard_ms, output_limit; /* 0: none */
  int64_t from[2];                        /* of stdout, stderr: what the host has */
};

/* `from`: of stdout and stderr; of a process with a spool file the place in that file. -1: what is there still. */
struct mag_frame_attach {
  char key[MAG_FRAME_KEY];
  int64_t from[2];
};

struct mag_frame_ack {
  uint32_t stream; /* 1, 2 */
  uint32_t reserved;
  int64_t offset; /* all before it has arrived */
};

#define MAG_SIGNAL_TREE 0x1u  /* all that the process has started, too. KILL leaves nothing */
#define MAG_SIGNAL_QUIET 0x2u /* no DONE: the connection is busy with the process itself */

struct mag_frame_signal {
  char key[MAG_FRAME_KEY];
  uint32_t signal;
  uint32_t flags; /* MAG_SIGNAL_* */
};

struct mag_frame_write {
  char key[MAG_FRAME_KEY];
  int64_t offset; /* of the data in stdin: what was taken before is skipped; -1: wherever it is */
  uint32_t eof;   /* after the data, close */
  uint32_t reserved;
};

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

#define MAG_FRAME_HELLO 16u   /* mag_frame_hello: first on every connection */
#define MAG_FRAME_STARTED 17u /* mag_frame_number: pid */
#define MAG_FRAME_FAILED 18u  /* mag_frame_failed: to EXEC and ATTACH: nothing runs, the request is over */
#define MAG_FRAME_OUTPUT 19u  /* mag_frame_output, data */
#define MAG_FRAME_END 20u     /* mag_frame_end: the request is over */
#define MAG_FRAME_DONE 21u    /* mag_frame_number: 0 or an errno */
#define MAG_FRAME_WROTE 22u   /* mag_frame_wrote */
#define MAG_FRAME_PROCESS 23u /* mag_frame_process, command line */

struct mag_frame_hello {
  uint32_t magic;
  uint32_t reserved;
  uint64_t server; /* another number: another server, which knows none of the earlier one's processes */
};

struct mag_frame_number {
  int64_t number;
};

struct mag_frame_failed {
  int32_t number; /* errno: EEXIST the key is in use, ESTALE a later attempt was here, ESRCH no such process */
  int32_t at;     /* MAG_BOX_AT_* */
};

struct mag_frame_output {
  uint32_t stream; /* 1 stdout, 2 stderr */
  uint32_t reserved;
  int64_t offset;
};

#define MAG_END_SOFT 0x1u      /* the soft timeout passed */
#define MAG_END_HARD 0x2u      /* the hard one */
#define MAG_END_HELD_OPEN 0x4u /* something keeps the output open */
#define MAG_END_MEMORY 0x8u    /* the memory limit killed something meanwhile */
#define MAG_END_UNSURE 0x10u   /* killed, and not gone yet */

struct mag_frame_end {
  int32_t code, signal;
  uint32_t flags; /* MAG_END_* */
  uint32_t reserved;
  int64_t dropped;     /* output beyond the limit */
  int64_t memory_peak; /* of the sandbox, or 0 */
};

struct mag_frame_wrote {
  int32_t number; /* 0; EPIPE: it has ended or closed its stdin; EINVAL: a gap */
  uint32_t reserved;
  int64_t taken; /* bytes of stdin so far */
};

struct mag_frame_process {
  char key[MAG_FRAME_KEY];
  uint32_t running;
  uint32_t reserved;
};

#endif
