#!/bin/sh
# shellcheck disable=SC2034,SC2317 # read by what is sourced
# What ./try and ./check make of a tree that is there already: it is configured again once a library has come, with the
# options that it was configured with, and else left as it is.
srcdir=$(CDPATH='' cd -- "${srcdir:-.}" && pwd) || exit 1
root=$(mktemp -d /tmp/magent-setup-XXXXXX) || exit 1
trap 'rm -rf "$root"' EXIT
failed=0

# A tree that tells what it is asked for, and a pkg-config that looks where we say.
mkdir "$root/tree" "$root/bin" "$root/libraries"
cat > "$root/tree/config.status" << 'END'
#!/bin/sh
echo "${1:-files}" >> asked
END
cat > "$root/bin/pkg-config" << END
#!/bin/sh
echo "/nowhere:$root/libraries"
END
: > "$root/tree/asked"
chmod +x "$root/tree/config.status" "$root/bin/pkg-config"

asked_is()
{
  (
    PATH=$root/bin:$PATH
    program=setup_test
    source_dir=$root/source
    # shellcheck source=/dev/null
    . "$srcdir/scripts/setup.sh"
    make_configure () { :; }
    configure_tree "$root/tree"
  ) 2> /dev/null || { echo "FAIL: $2: configure_tree failed"; failed=1; }
  asked=$(tr '\n' ' ' < "$root/tree/asked")
  if [ "$asked" != "$1" ]; then
    echo "FAIL: $2: config.status was asked \"$asked\" instead of \"$1\""
    failed=1
  fi
}

sleep 0.1 # file times are as fine as the kernel's tick
: > "$root/libraries/old.txt"
asked_is "" "nothing has come"
: > "$root/libraries/check.pc"
touch -d 2020-01-01 "$root/libraries/check.pc" # as packages do
asked_is "--recheck files " "a library has come"
exit $failed
