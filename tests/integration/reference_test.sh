#!/bin/sh
# The files that are made from the table of keys are what the command prints: docs/CONFIG.md, magent-agent(5), the
# options of `magent run` in magent(1), and the JSON Schema. After a change of the table:
#   scripts/in-tree help config --markdown > docs/CONFIG.md
#   scripts/in-tree help config --man-options > /tmp/options
#   sed -i -e '/^\.\\" Made by magent help config --man-options/r /tmp/options' \
#     -e '/^\.\\" Made by/,/^\.\\" End of what is made/{/^\.\\"/!d;}' docs/man/magent.1
#   scripts/in-tree help config --man > docs/man/magent-agent.5
#   scripts/in-tree help config --json-schema > data/agent.schema.json
srcdir=${srcdir:-.}
MAGENT_CONF_DIR=$srcdir/data
export MAGENT_CONF_DIR
failed=0
same()
{
  if ! ./magent help config "$1" | cmp -s - "$srcdir/$2"; then
    echo "FAIL: $2 is not what \`magent help config $1\` prints; see the head of $0"
    failed=1
  fi
}
same --markdown docs/CONFIG.md
same --man docs/man/magent-agent.5
same --json-schema data/agent.schema.json

# The part of magent(1) between its two comments.
made=$(sed -n '/^\.\\" Made by/,/^\.\\" End of what is made/{/^\.\\"/!p;}' "$srcdir/docs/man/magent.1")
if [ "$made" != "$(./magent help config --man-options)" ]; then
  echo "FAIL: the options in docs/man/magent.1 are not what \`magent help config --man-options\` prints; see the head of $0"
  failed=1
fi

# The example of the page is an agent file.
example=$(mktemp /tmp/magent-example-XXXXXX) || exit 1
trap 'rm -f "$example"' EXIT
fence='```'
sed -n "/^${fence}yaml/,/^${fence}\$/p" "$srcdir/docs/CONFIG.md" | sed "/^$fence/d" > "$example"
if ! ./magent --plugin-dir plugins-0 agent validate "$example"; then
  echo "FAIL: the example of docs/CONFIG.md is not valid"
  failed=1
fi

# The completion asks the command for its words; what it offers is what the command takes.
offers()
{
  offered=$(bash -c 'magent () { ./magent --plugin-dir plugins-0 "$@"; }
    . "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _magent
    printf "%s\n" "${COMPREPLY[@]}"' complete "$srcdir/data/completions/magent" "$@" | sort | tr '\n' ' ')
  offered=${offered% }
}
expect()
{
  wanted=$1
  shift
  offers "$@"
  if [ "$offered" != "$wanted" ]; then
    echo "FAIL: completion of \"$*\" offers \"$offered\" instead of \"$wanted\""
    failed=1
  fi
}
if command -v bash > /dev/null; then
  expect "host limited none provider unrestricted" magent run --network ""
  expect "bash" magent run --tools ba
  expect "bubblewrap" magent run --compute bu
  expect "--max-turns --model" magent run --m
  expect "config" magent help con
  expect "--help --json" magent doctor --
else
  echo "SKIPPED: there is no bash to complete with"
fi
exit $failed
