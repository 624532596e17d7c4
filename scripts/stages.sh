# shellcheck shell=sh disable=SC2154,SC2016,SC2034
# Read by ./check: the stages of --all. Each adds lines to $results as scripts/test-results prints them.

stages="style tests docker clang asan tsan ltdl options install skeleton examples valgrind distcheck vendors"
jobs=2

want_for_tests ()
{
  want openssl openssl
  want git git
  want g++ g++
  test -e /usr/share/perl5/Test/JSON/Schema/Acceptance.pm || missing="$missing libtest-json-schema-acceptance-perl"
}

want_for_all ()
{
  want clang clang
  want valgrind valgrind
  want shellcheck shellcheck
  want mandoc mandoc
  want xz xz-utils
  test -e /usr/include/ltdl.h || missing="$missing libltdl-dev"
}

# pass STAGE NAME; fail STAGE NAME WHY; skip STAGE NAME REASON
pass ()
{
  echo "pass 1 $1 $2" >> "$results"
}

fail ()
{
  echo "fail 1 $1 $2: $3" >> "$results"
  say "FAILED: $2: $3"
}

skip ()
{
  echo "skip 1 $1 $2: $3" >> "$results"
}

# outcome STAGE NAME COMMAND...: runs it; its log's end is shown if it fails.
outcome ()
{
  outcome_stage=$1
  outcome_name=$2
  shift 2
  outcome_log=$build/check-$outcome_stage.log
  "$@" > "$outcome_log.one" 2>&1
  outcome_status=$?
  { echo "==== $outcome_name ($*): status $outcome_status"; cat "$outcome_log.one"; } >> "$outcome_log"
  case $outcome_status in
  0) pass "$outcome_stage" "$outcome_name" ;;
  77) skip "$outcome_stage" "$outcome_name" "$(tail -n 1 "$outcome_log.one")" ;;
  *)
    tail -n "${outcome_lines:-20}" "$outcome_log.one" >&2
    fail "$outcome_stage" "$outcome_name" "status $outcome_status, see $outcome_log"
    ;;
  esac
  return $outcome_status
}

# prepare STAGE TREE [CONFIGURE-OPTION]...: configured and built; a failure is a result.
prepare ()
{
  prepare_stage=$1
  prepare_tree=$2
  shift 2
  configure_tree "$prepare_tree" "$@" && make_tree "$prepare_tree" && return
  fail "$prepare_stage" build "does not build, see $prepare_tree/*.log"
  return 1
}

# run_tests STAGE TREE [MAKE-ARGUMENT]...: make check, with every program counted. $run_under, if set, is a command that
# runs it, and may say with status 77 that it cannot be run here.
run_under=
run_tests ()
{
  run_stage=$1
  run_tree=$2
  shift 2
  step "$run_tree/make-tests.log" "building the tests in ${run_tree#"$source_dir"/}/" \
    make -C "$run_tree" -j$jobs check TESTS= || { fail "$run_stage" tests "do not build"; return 1; }
  find "$run_tree" -name '*.trs' -exec rm -f {} +
  say "running the tests in ${run_tree#"$source_dir"/}/"
  $run_under make -C "$run_tree" -j$jobs -k check "$@" > "$run_tree/check.log" 2>&1
  run_status=$?
  if test $run_status -eq 77; then
    say "NOT TRIED: $(tail -n 1 "$run_tree/check.log")"
    skip "$run_stage" tests "$(tail -n 1 "$run_tree/check.log")"
    return
  fi
  "$source_dir/scripts/test-results" "$run_tree" "$run_stage" > "$run_tree/tests.results"
  cat "$run_tree/tests.results" >> "$results"
  sed -n 's/^fail .*(\(.*\.log\))$/\1/p' "$run_tree/tests.results" | while read -r log; do
    echo "---- $log"
    tail -n 15 "$log"
  done >&2
  if test $run_status -ne 0 && ! grep -q '^fail' "$run_tree/tests.results"; then
    tail -n 15 "$run_tree/check.log" >&2
    fail "$run_stage" "make check" "status $run_status, see $run_tree/check.log"
  fi
  return $run_status
}

# tests_like TREE PATTERN: the names of tests that match an extended regular expression.
tests_like ()
{
  make -s -C "$1" print-tests | grep -E "$2" | tr '\n' ' '
}

# built_magent TREE ARGUMENT...: the command of a build tree.
built_magent ()
{
  (
    tree=$1
    shift
    export MAGENT_CONF_DIR="$source_dir/data" MAGENT_LIBEXEC_DIR="$tree/sandbox" XDG_STATE_HOME="$tree/state"
    unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL MAGENT_SCRIPT
    exec "$tree/magent" --plugin-dir "$tree/plugins-0" "$@"
  )
}

# ---- The stages ---------------------------------------------------------------------------------------------------

stage_tests ()
{
  prepare tests "$build" && run_tests tests "$build"
}

stage_style ()
{
  outcome_lines=60 outcome style checksrc "$source_dir/scripts/checksrc"
  # shellcheck disable=SC2046 # names without blanks
  outcome style shellcheck in_dir "$source_dir" shellcheck -x -P SCRIPTDIR -S warning \
    $(cd "$source_dir" && "$source_dir/scripts/checksrc" --list-shell)
  for page in "$source_dir"/docs/man/*.[0-9]; do
    outcome style "man page ${page##*/}" man_page "$page"
  done
}

man_page ()
{
  if command -v mandoc > /dev/null 2>&1; then
    mandoc -T lint -W warning "$1"
  elif command -v groff > /dev/null 2>&1; then
    groff -man -Tutf8 -ww "$1" 2>&1 > /dev/null | grep . && return 1 || return 0
  else
    echo "neither mandoc nor groff"
    return 77
  fi
}

# compute-docker against a real engine, of our own. Where there can be none, that is told at the end.
stage_docker ()
{
  prepare docker "$build" || return
  want dockerd docker.io
  want ip iproute2
  want curl curl
  want busybox busybox-static
  want mmdebstrap mmdebstrap
  want socat socat
  if ! install_missing "$build/packages-docker.log"; then
    say "NOT TRIED: a Docker engine's packages cannot be installed"
    skip docker tests "a Docker engine's packages cannot be installed, see $build/packages-docker.log"
    missing=
    return
  fi
  as_root=
  test "$(id -u)" = 0 || as_root=sudo
  run_under="$as_root $source_dir/scripts/docker-engine run $(mktemp -d /tmp/magent-docker-XXXXXX)"
  run_under="$run_under --keep $build/docker-image.tar"
  # One after the other: they have one engine, and look at all that is in it.
  run_tests docker "$build" -j1 TEST_SECONDS=1800 TESTS="tests/compute/compute_test tests/integration/compute_cli_test"
  run_status=$?
  run_under=
  return $run_status
}

stage_clang ()
{
  prepare clang "$source_dir/build-clang" CC=clang --enable-werror || return
  pass clang "build with -Werror"
  run_tests clang "$source_dir/build-clang" TESTS="$(make -s -C "$source_dir/build-clang" print-smoke-tests)"
}

stage_asan ()
{
  tree=$source_dir/build-asan
  prepare asan "$tree" --enable-sanitizers=address,undefined || return
  ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=suppressions=$source_dir/scripts/lsan.supp \
    CK_FORK=no CK_TIMEOUT_MULTIPLIER=4 run_tests asan "$tree"
}

stage_tsan ()
{
  tree=$source_dir/build-tsan
  prepare tsan "$tree" --enable-sanitizers=thread || return
  # Threads of the process live until its end. Some tests fork without exec.
  tsan_options="report_thread_leaks=0 die_after_fork=0 suppressions=$source_dir/scripts/tsan.supp"
  TSAN_OPTIONS=$tsan_options CK_FORK=no CK_TIMEOUT_MULTIPLIER=4 \
    run_tests tsan "$tree" TESTS="$(tests_like "$tree" "$tsan_tests")"
}
# What uses more than one thread.
tsan_tests='^tests/(unit/(host|http|process|sandbox|sse|call|turn|session|engine|log|store)[a-z_]*_test|integration/[a-z_]*_test)$'

stage_ltdl ()
{
  tree=$source_dir/build-ltdl
  prepare ltdl "$tree" --with-ltdl && run_tests ltdl "$tree" TESTS="$(tests_like "$tree" '^tests/loader/')"
}

# --disable leaves a plugin out; auto leaves out what lacks its library; --enable fails instead.
stage_options ()
{
  tree=$source_dir/build-options
  rm -rf "$tree"
  mkdir -p "$tree" && make_configure "$build/autogen.log" || return
  cat > "$tree/pkg-config" << 'END'
#!/bin/sh
# A machine without SQLite.
case "$*" in *sqlite3*) exit 1 ;; esac
exec pkg-config "$@"
END
  chmod +x "$tree/pkg-config"
  outcome options "configure --disable-llm-openai, no SQLite" in_dir "$tree" "$source_dir/configure" \
    --disable-llm-openai PKG_CONFIG="$tree/pkg-config" && {
    outcome options "its summary" grep 'plugins off  *store-sqlite llm-openai$' "$tree/config.log"
    outcome options "build" make -C "$tree" -j$jobs
    outcome options "left out" test ! -e "$tree/plugins-0/magent-llm-openai.so" -a ! -e "$tree/plugins-0/magent-store-sqlite.so" \
      -a -e "$tree/plugins-0/magent-llm-anthropic.so"
  }
  mkdir -p "$tree/enable"
  if in_dir "$tree/enable" "$source_dir/configure" --enable-store-sqlite PKG_CONFIG="$tree/pkg-config" \
    > "$tree/enable.log" 2>&1; then
    fail options "--enable-store-sqlite without SQLite" "configure went on"
  else
    outcome options "--enable-store-sqlite without SQLite" grep 'plugin store-sqlite needs libsqlite3' "$tree/enable.log"
  fi
}

# Installed below a prefix: finds its own plugins and helper. With DESTDIR: nothing is left behind by uninstall.
stage_install ()
{
  tree=$source_dir/build-install
  root=$tree/installed
  # From nothing: objects that were compiled with other options would be left as they are.
  rm -rf "$tree"
  prepare install "$tree" --prefix="$root" || return
  outcome install "make install" make -C "$tree" install || return
  outcome install "plugin list" env -i PATH="$PATH" HOME="$tree" "$root/bin/magent" plugin list
  outcome install "every plugin is listed" every_plugin "$tree"
  outcome install "run" env -i PATH="$PATH" HOME="$tree" "$root/bin/magent" run --tools none "Say hello"
  outcome install "no path of the build in what is installed" no_build_path "$tree"
  outcome install "no .la file" sh -c 'test -z "$(find "$1" -name "*.la" -path "*plugins*")"' sh "$root"
  if command -v readelf > /dev/null 2>&1; then
    outcome install "hardening" hardened "$tree"
  fi
  outcome install "DESTDIR" make -C "$tree" install DESTDIR="$tree/stage"
  outcome install "uninstall" make -C "$tree" uninstall DESTDIR="$tree/stage"
  outcome install "nothing is left" sh -c 'find "$1" ! -type d | grep . && exit 1; exit 0' sh "$tree/stage"
}

every_plugin ()
{
  "$root/bin/magent" plugin list --json > "$1/list.json" || return
  for plugin in "$1"/plugins-0/magent-*.so; do
    name=${plugin##*/magent-}
    name=${name%.so}
    grep -q "\"${name#*-}\"" "$1/list.json" || { echo "$name is not listed"; return 1; }
  done
}

# The prefix itself lies below the build tree, and its paths are meant to be there.
no_build_path ()
{
  find "$1/magent" "$1/sandbox/magent-sandbox" "$1"/plugins/*/.libs/*.so | while read -r file; do
    if strings -a "$file" | grep -F "$source_dir" | grep -vF "$root"; then
      echo "in $file"
      exit 1
    fi
  done
}

hardened ()
{
  readelf -hW "$root/bin/magent" | grep -q 'Type: *DYN' || { echo "magent is not position-independent"; return 1; }
  find "$root/bin/magent" "$root"/lib -name '*.so*' -type f -o -name magent -type f | while read -r file; do
    readelf -dW "$file" | grep -q 'BIND_NOW\|FLAGS_1.*NOW' || { echo "$file: not bound at load"; exit 1; }
    readelf -lW "$file" | grep -q GNU_RELRO || { echo "$file: no relro"; exit 1; }
    readelf -lW "$file" | grep 'GNU_STACK.*RWE' && { echo "$file: executable stack"; exit 1; }
    readelf -dW "$file" | grep 'RUNPATH\|RPATH' && { echo "$file: has a run path"; exit 1; }
    :
  done
}

# A plugin that is built outside of the tree, against what is installed.
stage_skeleton ()
{
  test -x "$source_dir/build-install/installed/bin/magent" || stage_install
  root=$source_dir/build-install/installed
  work=$source_dir/build-install/skeleton
  rm -rf "$work"
  cp -R "$source_dir/examples/skeleton-plugin" "$work" || return
  libdir=$(dirname "$(find "$root" -name magent.pc | head -n 1)")
  outcome skeleton "build against the installed headers" env PKG_CONFIG_PATH="$libdir" make -C "$work" &&
    outcome skeleton "inspect" "$root/bin/magent" plugin inspect "$work/magent-llm-echo.so" &&
    outcome skeleton "answers" env HOME="$work" XDG_STATE_HOME= sh -c '"$1" --plugin-dir "$2" run --model echo/any --tools none "Hello there" | tee /dev/stderr |
      grep -q "Hello there"' sh "$root/bin/magent" "$work"
  outcome skeleton "make install puts it where magent looks" env PKG_CONFIG_PATH="$libdir" make -C "$work" install &&
    outcome skeleton "found once installed" "$root/bin/magent" plugin inspect llm-echo --exists
}

# The examples as strangers build them: by pkg-config, from what is installed.
stage_examples ()
{
  root=$source_dir/build-install/installed
  work=$source_dir/build-install/examples
  test -x "$work/../skeleton/magent-llm-echo.so" || stage_skeleton
  PKG_CONFIG_PATH=$(dirname "$(find "$root" -name magent.pc | head -n 1)")
  export PKG_CONFIG_PATH
  outcome examples "built as C99" build_examples c99 "${CC:-cc} -std=c99 -D_POSIX_C_SOURCE=200809L" &&
    outcome examples "run, built as C99" run_examples c99
  outcome examples "built as C11" build_examples c11 "${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L"
  outcome examples "built as C++" build_examples cxx "${CXX:-c++} -std=c++11 -x c++" && outcome examples "run, built as C++" run_examples cxx
  unset PKG_CONFIG_PATH
}

build_examples ()
{
  mkdir -p "$work/$1" || return
  for example in "$source_dir"/examples/*.c; do
    name=${example##*/}
    # shellcheck disable=SC2046,SC2086 # a compiler with its options, and lists of them
    $2 -Wall -Wextra -Wpedantic -Werror "$example" -x none $(pkg-config --cflags --libs magent) -lm -o "$work/$1/${name%.c}" || return
  done
}

run_examples ()
{
  env -u MAGENT_CONF_DIR LD_LIBRARY_PATH="$root/lib" "$source_dir/tests/examples/run_examples" "$work/$1" "$work/../skeleton"
}

stage_valgrind ()
{
  prepare valgrind "$build" || return
  outcome valgrind "run with the scripted model" env MAGENT_CONF_DIR="$source_dir/data" MAGENT_LIBEXEC_DIR="$build/sandbox" \
    XDG_STATE_HOME="$build/state-valgrind" valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    --suppressions="$source_dir/scripts/valgrind.supp" "$build/magent" --plugin-dir "$build/plugins-0" run \
    --model scripted/default "Write a script that prints Hello World and run it"
}

stage_distcheck ()
{
  prepare distcheck "$build" || return
  say "distcheck (in build/, log in check-distcheck.log)"
  outcome distcheck "make distcheck" make -C "$build" -j$jobs distcheck DISTCHECK_CONFIGURE_FLAGS=--enable-werror \
    TESTS="$(make -s -C "$build" print-smoke-tests)"
}

# The vendors' own types against our fixtures: needs a package registry.
stage_vendors ()
{
  if test -x "$source_dir/scripts/check-vendor-types"; then
    outcome vendors check-vendor-types "$source_dir/scripts/check-vendor-types"
  else
    skip vendors check-vendor-types "there is no such script yet"
  fi
}
