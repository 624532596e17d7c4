# shellcheck shell=sh disable=SC2034
# Read by the header tests: compiles each public header alone.
#   each_header COMPILER STANDARD LANGUAGE
# Works in the build tree; srcdir is set by make check.
srcdir=${srcdir:-.}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0

# compile_alone COMPILER STANDARD LANGUAGE HEADER: the source is in $work.
compile_alone ()
{
  # shellcheck disable=SC2086 # the compiler may come with options
  if ! $1 "-std=$2" -Wall -Wextra -Wpedantic -Werror -I "$srcdir/include" -c "$work/test.$3" -o "$work/test.o"; then
    echo "FAIL: $4 does not compile alone as $2 with $1"
    failed=1
  fi
}

each_header ()
{
  for header in "$srcdir"/include/magent/mbp*.h; do
    name=${header##*/}
    {
      echo "#include <magent/$name>"
      # Twice: the guard. And the macros in use.
      echo "#include <magent/$name>"
      echo "static const struct mbp_plugin it = {MBP_SIZE(struct mbp_plugin, close), MBP_ABI_MAJOR, MBP_ABI_MINOR,"
      echo "  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};"
      echo "MBP_PLUGIN(it);"
      echo "int has(const struct mbp_host *host);"
      echo "int has(const struct mbp_host *host) { return MBP_HAS(host, struct mbp_host, session_id); }"
    } > "$work/test.$3"
    compile_alone "$1" "$2" "$3" "$name"
  done
  {
    echo "#include <magent/magent.h>"
    echo "#include <magent/magent.h>"
    echo "int run(struct magent_agent *agent);"
    echo "int run(struct magent_agent *agent) { return magent_execute(agent, \"x\", NULL, NULL) == -MBP_E_BUSY; }"
  } > "$work/test.$3"
  compile_alone "$1" "$2" "$3" magent.h
}
