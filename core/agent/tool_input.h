/* tool_input.h - what a model gave a tool, held to the tool's input_schema before anybody sees it. */
#ifndef MAG_AGENT_TOOL_INPUT_H
#define MAG_AGENT_TOOL_INPUT_H

#include "agent/toolbox.h"

/* 1: *ret_input is what the tool gets, the input itself or, where it fits only so, the input without those members
 * that the model wrote as null for "left out". 0: *ret_problem is a text for the model. Caller frees. Negative: no
 * memory. */
int mag_tool_input(const struct mag_tool *tool, struct mbp_str input, char **ret_input, char **ret_problem);

#endif
