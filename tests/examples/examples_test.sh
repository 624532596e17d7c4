#!/bin/sh
# The examples, on the build tree.
srcdir=${srcdir:-.}
here=$(pwd) || exit 99
source_dir=$(CDPATH='' cd -- "$srcdir" && pwd) || exit 99
export MAGENT_BUILD_PLUGINS="$here/plugins-0" MAGENT_CONF_DIR="$source_dir/data" MAGENT_LIBEXEC_DIR="$here/sandbox"
compiler=$(echo '@CC@' | ./config.status -q --file=- 2>/dev/null)
work=$here/tests/examples/echo-plugin.tmp
rm -rf "$work"
mkdir -p "$work" || exit 99
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086 # the compiler may come with options
${compiler:-cc} -std=c11 -fPIC -fvisibility=hidden -shared -I "$source_dir/include" \
  -o "$work/magent-llm-echo.so" "$source_dir/examples/skeleton-plugin/echo.c" || exit 1

# What the README shows is the whole of it.
tail -n +2 "$source_dir/examples/skeleton-plugin/echo.c" > "$work/whole"
sed -n '/^```c$/,/^```$/p' "$source_dir/README.md" | sed -e 1d -e '/^```$/q' | sed '$d' | cmp "$work/whole" - || exit 1

"$source_dir/tests/examples/run_examples" "$here/examples" "$work"
