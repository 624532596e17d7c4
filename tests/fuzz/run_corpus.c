/* run_corpus.c - runs a fuzz target over its corpus as an ordinary test: every file, and every truncation of it.
 *
 * The folder is argv[1]; without arguments it is $srcdir/tests/fuzz/corpus/NAME for a program called NAME_fuzz. Inputs
 * are copied into blocks of exactly their size, so that a sanitizer sees a read past the end.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUTS_MAX 2048 /* truncations of one file; of longer files only every n-th */

static void feed(const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy)
    abort();
  if (size)
    memcpy(copy, data, size);
  (void) LLVMFuzzerTestOneInput(size ? copy : NULL, size);
  free(copy);
}

static int run_file(const char *path, size_t *runs)
{
  FILE *file = fopen(path, "rb");
  if (!file)
    return -1;
  (void) fseek(file, 0, SEEK_END);
  long end = ftell(file);
  size_t size = end > 0 ? (size_t) end : 0;
  rewind(file);
  uint8_t *data = malloc(size ? size : 1);
  if (!data || fread(data, 1, size, file) != size) {
    free(data);
    (void) fclose(file);
    return -1;
  }
  (void) fclose(file);
  size_t step = size / CUTS_MAX + 1;
  for (size_t n = 0; n < size; n += step, (*runs)++)
    feed(data, n);
  feed(data, size);
  (*runs)++;
  free(data);
  return 0;
}

/* "./tests/fuzz/sse_fuzz" to "SRCDIR/tests/fuzz/corpus/sse". */
static void default_folder(const char *program, char *path, size_t cap)
{
  const char *srcdir = secure_getenv("srcdir");
  const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
  if (strncmp(name, "lt-", 3) == 0)
    name += 3;
  const char *end = strstr(name, "_fuzz");
  (void) snprintf(path, cap, "%s/tests/fuzz/corpus/%.*s", srcdir ? srcdir : ".",
                  (int) (end ? (size_t) (end - name) : strlen(name)), name);
}

int main(int argc, char **argv)
{
  char folder[2048], path[4096];
  if (argc > 1)
    (void) snprintf(folder, sizeof(folder), "%s", argv[1]);
  else
    default_folder(argv[0], folder, sizeof(folder));
  DIR *dir = opendir(folder);
  if (!dir) {
    fprintf(stderr, "%s: cannot open the corpus folder\n", folder);
    return 1;
  }
  size_t files = 0, runs = 0;
  int bad = 0;
  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    struct stat st;
    (void) snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
      continue;
    files++;
    if (run_file(path, &runs) < 0) {
      fprintf(stderr, "%s: cannot be read\n", path);
      bad = 1;
    }
  }
  (void) closedir(dir);
  if (files == 0) {
    fprintf(stderr, "%s: no files\n", folder);
    return 1;
  }
  printf("%zu files, %zu inputs\n", files, runs);
  return bad;
}
