include plugins/common/local.mk
include plugins/store-sqlite/local.mk
include plugins/llm-anthropic/local.mk
include plugins/llm-openai/local.mk
include plugins/llm-scripted/local.mk
include plugins/toolset-agent/local.mk
include plugins/compute-local/local.mk
include plugins/compute-bubblewrap/local.mk
