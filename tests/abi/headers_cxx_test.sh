#!/bin/sh
# Each public header compiles alone as C++11.
srcdir=${srcdir:-.}
. "$srcdir/tests/abi/header_list.sh"
found=no
for compiler in "$CXX" c++ g++ clang++; do
  test -n "$compiler" || continue
  # A compiler without its standard headers is as good as none.
  echo '#include <cstdint>' > "$work/probe.cc"
  # shellcheck disable=SC2086
  $compiler -std=c++11 -c "$work/probe.cc" -o "$work/probe.o" 2>/dev/null || continue
  found=yes
  each_header "$compiler" c++11 cc
done
test $found = yes || { echo "no C++ compiler"; exit 77; }
exit $failed
