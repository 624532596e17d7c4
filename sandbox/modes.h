/* modes.h - the modes of magent-sandbox: main() dispatches on argv[1]; each gets argv from there on and returns the
 * exit status. A new one is a row in main.c. */
#ifndef MAGENT_SANDBOX_MODES_H
#define MAGENT_SANDBOX_MODES_H

/* PID 1 of a sandbox, or the supervisor of one without isolation; see init.h. */
int mag_sandbox_init(int argc, char **argv);

/* The main process of a container, and a connection to it; see serve.h, frames.h. */
int mag_sandbox_serve(int argc, char **argv);
int mag_sandbox_connect(int argc, char **argv);

/* One file in or out, see transfer.h. */
int mag_sandbox_put(int argc, char **argv);
int mag_sandbox_get(int argc, char **argv);

#endif
