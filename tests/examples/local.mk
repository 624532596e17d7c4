dist_check_SCRIPTS += tests/examples/examples_test.sh tests/examples/run_examples
TESTS += tests/examples/examples_test.sh
EXTRA_DIST += tests/examples/calculator.json tests/examples/remember.json
