#include "loader/file.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN "a plugin: a shared object (.so)"

/* The header of whatever this code is linked into: by definition of the right class and machine. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static const char *machine_name(unsigned machine, char *buf, size_t cap)
{
  static const struct {
    unsigned machine;
    const char *name;
  } names[] = {
      {EM_X86_64, "x86-64"}, {EM_386, "i386"},     {EM_AARCH64, "AArch64"},     {EM_ARM, "ARM"},
      {EM_RISCV, "RISC-V"},  {EM_PPC64, "PowerPC64"}, {EM_S390, "S/390"}, {EM_MIPS, "MIPS"},
  };
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (names[i].machine == machine)
      return names[i].name;
  (void) snprintf(buf, cap, "ELF machine %u", machine);
  return buf;
}

/* Reads all of it, or fails with ENODATA at the end of the file. */
static int read_at(int fd, void *buf, size_t len, uint64_t at)
{
  size_t have = 0;
  while (have < len) {
    ssize_t n = pread(fd, (char *) buf + have, len - have, (off_t) (at + have));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    if (n == 0)
      return -ENODATA;
    have += (size_t) n;
  }
  return 0;
}

static int truncated(const char *path, uint64_t have, uint64_t need, struct mbp_error *err)
{
  char found[48], expected[64];
  (void) snprintf(found, sizeof(found), "%llu bytes", (unsigned long long) have);
  (void) snprintf(expected, sizeof(expected), "at least %llu: the file is truncated", (unsigned long long) need);
  return mag_refuse(err, MBP_E_INVALID, path, "size", found, expected);
}

#define DYNAMIC_MAX 1024 /* entries of a dynamic section that are looked at */

/* A program that may be loaded anywhere is a shared object for the header, and not for the dynamic linker. */
static bool is_program(int fd, const ElfW(Phdr) *dynamic)
{
  ElfW(Dyn) entries[64];
  uint64_t n = MAG_MIN(dynamic->p_filesz / sizeof(entries[0]), (uint64_t) DYNAMIC_MAX);
  for (uint64_t i = 0; i < n; i++) {
    const ElfW(Dyn) *entry = &entries[i % MAG_COUNT(entries)];
    if (i % MAG_COUNT(entries) == 0) {
      memset(entries, 0, sizeof(entries));
      if (read_at(fd, entries, (size_t) MAG_MIN(n - i, (uint64_t) MAG_COUNT(entries)) * sizeof(entries[0]),
                  dynamic->p_offset + i * sizeof(entries[0])) < 0)
        return false;
    }
    if (entry->d_tag == DT_NULL)
      return false;
    if (entry->d_tag == DT_FLAGS_1)
      return entry->d_un.d_val & DF_1_PIE;
  }
  return false;
}

/* A segment beyond the end of the file would be a SIGBUS inside the dynamic linker. */
static int check_segments(int fd, const char *path, const ElfW(Ehdr) *header, uint64_t size, struct mbp_error *err)
{
  bool dynamic = false, program = false;
  if (header->e_phentsize != sizeof(ElfW(Phdr)))
    return mag_error(err, MBP_E_INVALID, "%s: damaged ELF file: program headers of %u bytes", mag_path_shown(path),
                     header->e_phentsize);
  for (unsigned i = 0; i < header->e_phnum; i++) {
    ElfW(Phdr) segment;
    uint64_t end, at;
    if (__builtin_add_overflow((uint64_t) header->e_phoff, (uint64_t) i * sizeof(segment), &at) || at > size ||
        read_at(fd, &segment, sizeof(segment), at) < 0)
      return truncated(path, size, header->e_phoff + (uint64_t) header->e_phnum * sizeof(segment), err);
    if (__builtin_add_overflow((uint64_t) segment.p_offset, (uint64_t) segment.p_filesz, &end) || end > size)
      return truncated(path, size, end, err);
    if (segment.p_type == PT_DYNAMIC && !dynamic)
      program = is_program(fd, &segment);
    dynamic |= segment.p_type == PT_DYNAMIC;
  }
  if (!dynamic || program)
    return mag_refuse(err, MBP_E_INVALID, path, "ELF type", program ? "a program" : "no dynamic section", PLUGIN);
  return 0;
}

static int check_header(const char *path, const ElfW(Ehdr) *header, struct mbp_error *err)
{
  const ElfW(Ehdr) *own = &__ehdr_start;
  static const char *const types[] = {"no type", "an object file (.o)", "a program", "a shared object", "a core dump"};
  char a[32], b[32];
  if (header->e_ident[EI_DATA] != own->e_ident[EI_DATA])
    return mag_refuse(err, MBP_E_INVALID, path, "byte order", "the other", "this machine's: wrong architecture");
  if (header->e_machine != own->e_machine) {
    mag_error(err, MBP_E_INVALID, "%s: wrong architecture: found %s, expected %s", mag_path_shown(path),
              machine_name(header->e_machine, a, sizeof(a)), machine_name(own->e_machine, b, sizeof(b)));
    return -MBP_E_INVALID;
  }
  if (header->e_type != ET_DYN)
    return mag_refuse(err, MBP_E_INVALID, path, "ELF type", header->e_type < 5 ? types[header->e_type] : "another type",
                      PLUGIN);
  return 0;
}

int mag_file_check_elf(int fd, const char *path, struct mbp_error *err)
{
  struct stat st;
  ElfW(Ehdr) header;
  char found[32];
  if (fstat(fd, &st) < 0)
    return mag_error_errno(err, errno, "%s", mag_path_shown(path));
  if (st.st_size == 0)
    return mag_error(err, MBP_E_INVALID, "%s: not an ELF file: it is empty", mag_path_shown(path));
  memset(&header, 0, sizeof(header));
  uint64_t size = (uint64_t) st.st_size;
  int r = read_at(fd, &header, MAG_MIN_SIZE(size, sizeof(header)), 0);
  if (r < 0 && r != -ENODATA)
    return mag_error_errno(err, -r, "%s", mag_path_shown(path));
  const unsigned char *magic = header.e_ident;
  if (memcmp(magic, ELFMAG, SELFMAG) != 0) {
    (void) snprintf(found, sizeof(found), "%02x %02x %02x %02x", magic[0], magic[1], magic[2], magic[3]);
    return mag_refuse(err, MBP_E_INVALID, path, "not an ELF file: first bytes", found, "7f 45 4c 46");
  }
  if (size < sizeof(header))
    return truncated(path, size, sizeof(header), err);
  if (magic[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS])
    return mag_refuse(err, MBP_E_INVALID, path, "wrong architecture: ELF class",
                      magic[EI_CLASS] == ELFCLASS32   ? "32 bit"
                      : magic[EI_CLASS] == ELFCLASS64 ? "64 bit"
                                                      : "neither 32 nor 64 bit",
                      sizeof(void *) == 8 ? "64 bit" : "32 bit");
  r = check_header(path, &header, err);
  if (r < 0)
    return r;
  uint64_t sections = header.e_shoff + (uint64_t) header.e_shentsize * header.e_shnum;
  if (sections > size || sections < header.e_shoff)
    return truncated(path, size, sections, err);
  return check_segments(fd, path, &header, size, err);
}
