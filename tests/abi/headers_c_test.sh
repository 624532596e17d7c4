#!/bin/sh
# Each public header compiles alone as C99 and C11, and layout.h knows everything that is in them.
srcdir=${srcdir:-.}
. "$srcdir/tests/abi/header_list.sh"
compiler=$(echo '@CC@' | ./config.status -q --file=- 2>/dev/null)
for standard in c99 c11; do
  each_header "${compiler:-cc}" $standard c
done

table=$srcdir/tests/abi/layout.h
for name in $(sed -n 's/^struct \(mbp_[a-z0-9_]*\) {$/\1/p' "$srcdir"/include/magent/mbp*.h); do
  if ! grep -Eq "^(STRUCT|FROZEN)\($name, " "$table"; then
    echo "FAIL: struct $name is not in layout.h"
    failed=1
  fi
done
# Version numbers, the entry's name and macros are no promises about values.
for name in $(sed -n 's/^#define \(MBP_[A-Z0-9_]*\) .*/\1/p' "$srcdir"/include/magent/mbp*.h |
  grep -Ev '^MBP_(ABI_M.*|ENTRY|ENTRY_NAME|EXPORT|(COMPUTE|LLM|STORE|TOOLSET)_VERSION)$'); do
  if ! grep -Eq "^(CONSTANT|TEXT)\($name, " "$table"; then
    echo "FAIL: $name is not in layout.h"
    failed=1
  fi
done
for name in $(sed -n 's/^struct \(magent_[a-z0-9_]*\) {$/\1/p' "$srcdir/include/magent/magent.h"); do
  grep -q "^STRUCT($name, " "$srcdir/tests/abi/embed_layout.h" || {
    echo "FAIL: struct $name is not in embed_layout.h"
    failed=1
  }
done
exit $failed
