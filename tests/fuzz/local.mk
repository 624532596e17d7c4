# Fuzz targets. NAME_fuzz.c has LLVMFuzzerTestOneInput, corpus/NAME/ its inputs. Without --enable-fuzzers each is an
# ordinary test (run_corpus.c feeds it its corpus); with it, a libFuzzer program that is built and not run:
#   ../configure CC=clang --enable-fuzzers --enable-sanitizers=address,undefined,fuzzer-no-link
#   make && tests/fuzz/sse_fuzz ../tests/fuzz/corpus/sse
# A new target: a block like the ones below.
EXTRA_DIST += tests/fuzz/run_corpus.c
fuzz_targets =
if FUZZERS
fuzz_main =
fuzz_link = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += $(fuzz_targets)
else
fuzz_main = tests/fuzz/run_corpus.c
fuzz_link = $(AM_LDFLAGS)
check_PROGRAMS += $(fuzz_targets)
endif

fuzz_targets += tests/fuzz/descriptor_fuzz
tests_fuzz_descriptor_fuzz_SOURCES = tests/fuzz/descriptor_fuzz.c $(fuzz_main)
tests_fuzz_descriptor_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_descriptor_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/descriptor

fuzz_targets += tests/fuzz/sse_fuzz
tests_fuzz_sse_fuzz_SOURCES = tests/fuzz/sse_fuzz.c $(fuzz_main)
tests_fuzz_sse_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_sse_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/sse

fuzz_targets += tests/fuzz/anthropic_fuzz
tests_fuzz_anthropic_fuzz_SOURCES = tests/fuzz/anthropic_fuzz.c plugins/llm-anthropic/decoder.c \
  plugins/llm-anthropic/decoder.h plugins/llm-common/llm.c plugins/llm-common/llm.h $(fuzz_main)
tests_fuzz_anthropic_fuzz_CFLAGS = $(AM_CFLAGS)
tests_fuzz_anthropic_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_anthropic_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/anthropic

fuzz_targets += tests/fuzz/openai_fuzz
tests_fuzz_openai_fuzz_SOURCES = tests/fuzz/openai_fuzz.c plugins/llm-openai/calls.c plugins/llm-openai/calls.h \
  plugins/llm-openai/decoder.c plugins/llm-openai/decoder.h plugins/llm-openai/error.c plugins/llm-openai/names.c \
  plugins/llm-openai/names.h plugins/llm-common/llm.c plugins/llm-common/llm.h $(fuzz_main)
tests_fuzz_openai_fuzz_CFLAGS = $(AM_CFLAGS)
tests_fuzz_openai_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_openai_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/openai

fuzz_targets += tests/fuzz/script_fuzz
tests_fuzz_script_fuzz_SOURCES = tests/fuzz/script_fuzz.c plugins/llm-scripted/play.c plugins/llm-scripted/play.h \
  plugins/llm-scripted/script.c plugins/llm-scripted/script.h plugins/llm-scripted/view.c plugins/llm-common/llm.c \
  plugins/llm-common/llm.h $(fuzz_main)
tests_fuzz_script_fuzz_CFLAGS = $(AM_CFLAGS)
tests_fuzz_script_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_script_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/script
if SANDBOX_HELPER
fuzz_targets += tests/fuzz/sandbox_fuzz
tests_fuzz_sandbox_fuzz_SOURCES = tests/fuzz/sandbox_fuzz.c $(fuzz_main)
tests_fuzz_sandbox_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_fuzz_sandbox_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_sandbox_fuzz_LDADD = libmagbox.la
endif
EXTRA_DIST += tests/fuzz/corpus/sandbox

fuzz_targets += tests/fuzz/shell_fuzz
tests_fuzz_shell_fuzz_SOURCES = tests/fuzz/shell_fuzz.c plugins/toolset-agent/output.c plugins/toolset-agent/output.h \
  plugins/toolset-agent/text.c plugins/toolset-agent/text.h $(fuzz_main)
tests_fuzz_shell_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_fuzz_shell_fuzz_LDFLAGS = $(fuzz_link)
EXTRA_DIST += tests/fuzz/corpus/shell

fuzz_targets += tests/fuzz/filetool_fuzz
tests_fuzz_filetool_fuzz_SOURCES = tests/fuzz/filetool_fuzz.c sandbox/tool_blocks.c sandbox/tool_common.h \
  sandbox/tool_pattern.c sandbox/tool_pattern.h $(fuzz_main)
tests_fuzz_filetool_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_fuzz_filetool_fuzz_LDFLAGS = $(fuzz_link)
EXTRA_DIST += tests/fuzz/corpus/filetool

fuzz_targets += tests/fuzz/http_fuzz
tests_fuzz_http_fuzz_SOURCES = tests/fuzz/http_fuzz.c $(fuzz_main)
tests_fuzz_http_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_http_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/http
fuzz_targets += tests/fuzz/log_fuzz
tests_fuzz_log_fuzz_SOURCES = tests/fuzz/log_fuzz.c $(fuzz_main)
tests_fuzz_log_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_log_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/log

fuzz_targets += tests/fuzz/definition_fuzz
tests_fuzz_definition_fuzz_SOURCES = tests/fuzz/definition_fuzz.c $(fuzz_main)
tests_fuzz_definition_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_definition_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/definition

fuzz_targets += tests/fuzz/price_fuzz
tests_fuzz_price_fuzz_SOURCES = tests/fuzz/price_fuzz.c $(fuzz_main)
tests_fuzz_price_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_price_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/price

fuzz_targets += tests/fuzz/ids_fuzz
tests_fuzz_ids_fuzz_SOURCES = tests/fuzz/ids_fuzz.c $(fuzz_main)
tests_fuzz_ids_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_ids_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/ids

fuzz_targets += tests/fuzz/schema_fuzz
tests_fuzz_schema_fuzz_SOURCES = tests/fuzz/schema_fuzz.c $(fuzz_main)
tests_fuzz_schema_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_schema_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/schema
fuzz_targets += tests/fuzz/docker_fuzz
tests_fuzz_docker_fuzz_SOURCES = tests/fuzz/docker_fuzz.c plugins/common/frame.c plugins/common/frame.h \
  plugins/compute-docker/progress.c plugins/compute-docker/progress.h plugins/compute-docker/stream.c \
  plugins/compute-docker/stream.h $(fuzz_main)
tests_fuzz_docker_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)
tests_fuzz_docker_fuzz_LDFLAGS = $(fuzz_link)
tests_fuzz_docker_fuzz_LDADD = libmagcore.la
EXTRA_DIST += tests/fuzz/corpus/docker
