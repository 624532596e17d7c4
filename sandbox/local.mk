include sandbox/tool.mk
