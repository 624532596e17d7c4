#!/bin/sh
# The files that are made from the table of keys are what the command prints: docs/CONFIG.md, magent-agent(5) and the
# JSON Schema. After a change of the table:
#   scripts/in-tree help config --markdown > docs/CONFIG.md
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

# The example of the page is an agent file.
example=$(mktemp /tmp/magent-example-XXXXXX) || exit 1
trap 'rm -f "$example"' EXIT
fence='```'
sed -n "/^${fence}yaml/,/^${fence}\$/p" "$srcdir/docs/CONFIG.md" | sed "/^$fence/d" > "$example"
if ! ./magent --plugin-dir plugins-0 agent validate "$example"; then
  echo "FAIL: the example of docs/CONFIG.md is not valid"
  failed=1
fi

# The completion asks for the words when it is used; every option of `magent run` that it writes itself exists.
missing=$(sed -n '/run\/\*)/,/;;/p' "$srcdir/data/completions/magent" | grep -o -- '--[a-z-]*' | grep -v -e --options |
  while read -r option; do
    ./magent run --help | grep -q -- "$option" || echo "$option"
  done)
if [ "$missing" ]; then
  echo "FAIL: the completion knows what magent run does not: $missing"
  failed=1
fi
exit $failed
