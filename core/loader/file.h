/* file.h - may this file be opened as a plugin? Everything that can be known without running its code. */
#ifndef MAG_LOADER_FILE_H
#define MAG_LOADER_FILE_H

#include <magent/mbp.h>
#include <stdbool.h>

/* How far a place is trusted. */
#define MAG_TRUST_CHECKED 0 /* owner and mode of the file and of every directory above it are checked */
#define MAG_TRUST_GIVEN 1   /* given by hand: that act is the trust; only the kind of file is checked */

/* Resolves symbolic links, checks the target and returns an open descriptor of it and its path without links. The
 * file is a regular file; unless `trust` is MAG_TRUST_GIVEN it and all directories above it belong to root or to the
 * effective user and can be written by nobody else, so that nobody else can exchange it afterwards. */
int mag_file_open(const char *path, int trust, int *ret_fd, char **ret_real_path, struct mbp_error *err);

/* The same check for a directory that is to be searched. */
int mag_directory_open(const char *path, int trust, int *ret_fd, struct mbp_error *err);

/* Is it a whole shared object of this machine's kind? `path` is for messages. */
int mag_file_check_elf(int fd, const char *path, struct mbp_error *err);

/* A refusal: "FILE: FIELD: found X, expected Y". `found` and `expected` may hold untrusted bytes. Returns -code. */
int mag_refuse(struct mbp_error *err, int code, const char *path, const char *field, const char *found,
               const char *expected);

/* The end of a path that is too long for a message. Points into `path`. */
const char *mag_path_shown(const char *path);

#endif
