# The file tools: part of magent-sandbox, and of a program of the tests.
sandbox_tool_sources = sandbox/tool.h sandbox/tool_blocks.c sandbox/tool_common.c sandbox/tool_common.h \
  sandbox/tool_glob.c sandbox/tool_grep.c sandbox/tool_path.c sandbox/tool_pattern.c sandbox/tool_pattern.h \
  sandbox/tool_read.c sandbox/tool_walk.c sandbox/tool_walk.h sandbox/tool_write.c core/base/text.c
