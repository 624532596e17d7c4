# Fuzz targets. NAME_fuzz.c has LLVMFuzzerTestOneInput, corpus/NAME/ its inputs. Without --enable-fuzzers each is an
# ordinary test (run_corpus.c feeds it its corpus); with it, a libFuzzer program that is built and not run:
#   ../configure CC=clang --enable-fuzzers --enable-sanitizers=address,undefined,fuzzer-no-link
#   make && tests/fuzz/sse_fuzz ../tests/fuzz/corpus/sse
# A new target: one line in FUZZ_PROGRAMS, the three of its program, its corpus in EXTRA_DIST.
EXTRA_DIST += tests/fuzz/run_corpus.c
if FUZZERS
FUZZ_MAIN =
FUZZ_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += $(FUZZ_PROGRAMS)
else
FUZZ_MAIN = tests/fuzz/run_corpus.c
FUZZ_LDFLAGS = $(AM_LDFLAGS)
check_PROGRAMS += $(FUZZ_PROGRAMS)
endif

FUZZ_PROGRAMS = tests/fuzz/sse_fuzz

tests_fuzz_sse_fuzz_SOURCES = tests/fuzz/sse_fuzz.c $(FUZZ_MAIN)
tests_fuzz_sse_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_sse_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/sse
