# shellcheck shell=sh disable=SC2154
# Read by ./try and ./check (POSIX sh): what a build needs, and the build itself.
#
#   source_dir   the source tree, absolute; set by the reader of this file
#   program      its name, for messages
#
# Steps are told on stderr, one line each; what they print goes to a log whose end is shown when one fails.

missing=

say ()
{
  printf '%s: %s\n' "$program" "$*" >&2
}

# step LOG TEXT COMMAND...
step ()
{
  step_log=$1
  say "$2"
  shift 2
  "$@" > "$step_log" 2>&1 || {
    step_status=$?
    tail -n 30 "$step_log" >&2
    say "failed (status $step_status): $*"
    say "the whole log: $step_log"
    return $step_status
  }
}

# want COMMAND PACKAGE: the package is missing if the command is.
want ()
{
  command -v "$1" > /dev/null 2>&1 || missing="$missing $2"
}

# want_library MODULE PACKAGE: by pkg-config; without pkg-config nothing is there.
want_library ()
{
  pkg-config --exists "$1" 2> /dev/null || missing="$missing $2"
}

want_for_build ()
{
  want autoconf autoconf
  want automake automake
  want libtoolize libtool
  want make make
  want pkg-config pkg-config
  want "${CC:-gcc}" gcc
  # The compiler's package does not bring the C library's headers.
  echo '#include <stdlib.h>' | "${CC:-gcc}" -E - > /dev/null 2>&1 || missing="$missing libc6-dev"
  want_library libcurl libcurl4-openssl-dev
  want_library libcjson libcjson-dev
  want_library sqlite3 libsqlite3-dev
  want_library libseccomp libseccomp-dev
  want_library libpcre2-8 libpcre2-dev
  want_library yaml-0.1 libyaml-dev
  want_library libarchive libarchive-dev
}

want_to_run ()
{
  want bwrap bubblewrap
  want python3 python3
  test -e /etc/ssl/certs/ca-certificates.crt || test -d /etc/pki/tls/certs || missing="$missing ca-certificates"
}

apt ()
{
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" < /dev/null
}

apt_install ()
{
  # A machine that never updated its lists knows no packages.
  set -- "$@"
  if ! ls /var/lib/apt/lists/*_Packages* > /dev/null 2>&1; then
    apt update || return
    apt install --no-install-recommends "$@"
    return
  fi
  apt install --no-install-recommends "$@" && return
  echo "Once more with fresh package lists."
  apt update && apt install --no-install-recommends "$@"
}

# install_missing LOG: installs what `want` found missing.
install_missing ()
{
  test -n "$missing" || return 0
  as_root=
  if test "$(id -u)" != 0; then
    as_root=sudo
    if ! command -v sudo > /dev/null 2>&1; then
      say "these packages are needed:$missing"
      say "install them as root (apt-get install --no-install-recommends$missing), then call this again"
      return 1
    fi
  fi
  if ! command -v apt-get > /dev/null 2>&1; then
    say "these packages are needed (by Debian's names):$missing"
    say "there is no apt-get here: install what they are called on this system, then call this again"
    return 1
  fi
  # shellcheck disable=SC2086 # a list
  step "$1" "installing what the build needs with ${as_root:+$as_root }apt-get:$missing" apt_install $missing
  missing=
}

# make_configure LOG
make_configure ()
{
  test -x "$source_dir/configure" && test -e "$source_dir/Makefile.in" && return
  step "$1" "making configure" "$source_dir/autogen.sh"
}

# libraries_came TREE: since it was configured; by when they were installed, as files are as old as their package.
libraries_came ()
{
  # shellcheck disable=SC2046 # a list
  test -n "$(find $(pkg-config --variable pc_path pkg-config | tr : ' ') -name '*.pc' -cnewer "$1/config.status" \
    -print -quit 2> /dev/null)"
}

configure_again ()
{
  in_dir "$1" ./config.status --recheck && in_dir "$1" ./config.status
}

# configure_tree BUILD-DIR [OPTION]...: makes configure and the build directory, if they are not there, and looks again
# for what was left out for want of a library that may be there now.
configure_tree ()
{
  tree=$1
  shift
  case $source_dir in
  *[[:space:]\"\#\$\&\'\`\\]*)
    say "nothing can be built below a path with a blank or one of \"#\$&'\`\\ in it: move $source_dir elsewhere"
    return 1
    ;;
  esac
  mkdir -p "$tree" && make_configure "$tree/autogen.log" || return
  if test ! -e "$tree/config.status"; then
    step "$tree/configure.log" "configuring in ${tree#"$source_dir"/}/${*:+: $*}" \
      in_dir "$tree" "$source_dir/configure" "$@"
  elif libraries_came "$tree"; then
    step "$tree/configure.log" "configuring again in ${tree#"$source_dir"/}/, with libraries that came since" \
      configure_again "$tree"
  fi
}

in_dir ()
{
  (cd "$1" && shift && "$@")
}

processors ()
{
  n=$(nproc 2> /dev/null || echo 2)
  test "$n" -le 8 || n=8
  echo "$n"
}

# make_tree BUILD-DIR [ARGUMENT]...
make_tree ()
{
  tree=$1
  shift
  first=
  test -e "$tree/magent" || first=" (about a minute)"
  step "$tree/make.log" "building in ${tree#"$source_dir"/}/$first" \
    make -C "$tree" -j"${jobs:-$(processors)}" "$@"
}
