if HAVE_CHECK
TEST_LIBS = libmagcore.la $(CHECK_LIBS)
TESTS += $(check_PROGRAMS)
# What takes too long for every day.
check_long_targets =
include tests/lib/local.mk
include tests/unit/local.mk
include tests/loader/local.mk
include tests/compute/local.mk
include tests/integration/local.mk
include tests/fuzz/local.mk
include tests/abi/local.mk
include tests/bench/local.mk
include tests/crash/local.mk
endif
