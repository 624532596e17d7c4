#!/bin/sh
# libmagent exports exactly the functions that magent.h declares.
srcdir=${srcdir:-.}
library=$(find .libs -name 'libmagent.so*' -type f 2>/dev/null | head -n 1)
test -n "$library" || { echo "no shared libmagent"; exit 77; }
command -v nm > /dev/null || { echo "no nm"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
nm -D --defined-only "$library" | sed -n 's/^.* [A-Z] \([A-Za-z_][A-Za-z0-9_]*\)\(@@.*\)\{0,1\}$/\1/p' | grep -v '^MAGENT_[0-9]*$' |
  grep -Ev '^(__(asan|ubsan|tsan|odr)|_init$|_fini$)' | sort > "$work/exported"
# A declaration may break its line before the name.
tr '\n' ' ' < "$srcdir/include/magent/magent.h" | grep -o 'MAGENT_API [^;]*;' | sed 's/(\*[a-z]*)([^)]*)//' |
  sed -n 's/^[^(]*[ *]\(magent_[a-z_]*\)(.*$/\1/p' | sort > "$work/declared"
if diff "$work/declared" "$work/exported" > "$work/difference"; then
  test -s "$work/declared" || exit 1
else
  echo "FAIL: declared in magent.h (<) and exported by libmagent (>):"
  cat "$work/difference"
  exit 1
fi
while read -r name; do
  grep -q "Fn $name\\>" "$srcdir/docs/man/magent.3" || { echo "FAIL: magent(3) does not name $name"; exit 1; }
done < "$work/declared"
