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
include tests/examples/local.mk
include tests/bench/local.mk
include tests/crash/local.mk
# Fuzzing, each target for so many minutes: make check-long MINUTES=30
MINUTES = 5
check_long_targets += fuzz-long
fuzz-long:
	$(srcdir)/scripts/fuzz-long '$(abs_srcdir)' '$(abs_builddir)/fuzz' $(MINUTES)
check-long: $(check_long_targets)
endif
