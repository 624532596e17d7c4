/* The tools as a model is told of them. */
#include "agent.h"

#define PATH_NOTE " A relative path starts at the working directory."

const struct tool tools[N_TOOLS] = {
    [TOOL_BASH] =
        {"bash",
         MBP_TOOL_SANDBOX,
         "Runs a command in a bash shell in the sandbox and returns what it prints (stdout and stderr together). The "
         "shell "
         "is the same one for all commands of the session: the working directory, variables and functions stay. "
         "Commands "
         "have no terminal and read nothing from stdin, so use options that do not ask. A command is stopped after 120 "
         "seconds unless timeout_ms says otherwise; then the shell starts anew. Start what must go on running with & "
         "and "
         "send its output to a file: `server >server.log 2>&1 &`. Long output is shortened in the middle and kept in a "
         "file whose path is told. A command that fails ends with `exit N`. Set restart to true for a new shell when "
         "the "
         "old one is in a bad state.",
         "{\"type\":\"object\",\"properties\":{"
         "\"command\":{\"type\":\"string\",\"description\":\"The command, of any number of lines\"},"
         "\"restart\":{\"type\":\"boolean\",\"description\":\"true: start a new shell (before the command, if there is "
         "one)\"},"
         "\"timeout_ms\":{\"type\":\"number\",\"description\":\"Stop the command after so many milliseconds\"}},"
         "\"additionalProperties\":false}",
         {{"command", INPUT_STRING, 0}, {"restart", INPUT_BOOLEAN, 0}, {"timeout_ms", INPUT_INTEGER, 0}}},
    [TOOL_READ] =
        {"read",
         MBP_TOOL_READ_ONLY | MBP_TOOL_REPEATABLE | MBP_TOOL_SANDBOX,
         "Returns the text of a file, or of some of its lines with view_range. At most 256 KiB at a time; what is left "
         "out "
         "is told. Text files only." PATH_NOTE,
         "{\"type\":\"object\",\"properties\":{"
         "\"file_path\":{\"type\":\"string\",\"description\":\"Path of the file\"},"
         "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":2,"
         "\"description\":"
         "\"[first line, last line], counted from 1, both included; a last line of 0 is the end of the file\"}},"
         "\"required\":[\"file_path\"],\"additionalProperties\":false}",
         {{"file_path", INPUT_STRING, 1}, {"view_range", INPUT_RANGE, 0}}},
    [TOOL_WRITE] = {"write",
                    MBP_TOOL_REPEATABLE | MBP_TOOL_SANDBOX,
                    "Writes a file whole: makes it, with the directories that are missing, or replaces what it held. "
                    "To change a part "
                    "of a file use edit." PATH_NOTE,
                    "{\"type\":\"object\",\"properties\":{"
                    "\"file_path\":{\"type\":\"string\",\"description\":\"Path of the file\"},"
                    "\"content\":{\"type\":\"string\",\"description\":\"All that the file shall hold\"}},"
                    "\"required\":[\"file_path\",\"content\"],\"additionalProperties\":false}",
                    {{"file_path", INPUT_STRING, 1}, {"content", INPUT_STRING, 1}}},
    [TOOL_EDIT] =
        {"edit",
         MBP_TOOL_SANDBOX,
         "Replaces a string in a file. old_string must stand in the file exactly as given, spaces and line ends "
         "included, and "
         "only once unless replace_all is true; give some lines around it to make it unique." PATH_NOTE,
         "{\"type\":\"object\",\"properties\":{"
         "\"file_path\":{\"type\":\"string\",\"description\":\"Path of the file\"},"
         "\"old_string\":{\"type\":\"string\",\"description\":\"The text to be replaced\"},"
         "\"new_string\":{\"type\":\"string\",\"description\":\"The text to put in its place; may be empty\"},"
         "\"replace_all\":{\"type\":\"boolean\",\"description\":\"Replace every occurrence; default false\"}},"
         "\"required\":[\"file_path\",\"old_string\",\"new_string\"],\"additionalProperties\":false}",
         {{"file_path", INPUT_STRING, 1},
          {"old_string", INPUT_STRING, 1},
          {"new_string", INPUT_STRING, 1},
          {"replace_all", INPUT_BOOLEAN, 0}}},
    [TOOL_GLOB] =
        {"glob",
         MBP_TOOL_READ_ONLY | MBP_TOOL_REPEATABLE | MBP_TOOL_SANDBOX,
         "Finds files by a pattern such as `**/*.py` or `src/*.{c,h}` and lists the newest 200 first. `*` stops at a "
         "slash, `**` "
         "does not; a pattern that ends in a slash finds directories. .git and node_modules are left out.",
         "{\"type\":\"object\",\"properties\":{"
         "\"pattern\":{\"type\":\"string\",\"description\":\"The pattern, relative to path\"},"
         "\"path\":{\"type\":\"string\",\"description\":\"The directory to search; default: the working directory\"}},"
         "\"required\":[\"pattern\"],\"additionalProperties\":false}",
         {{"pattern", INPUT_STRING, 1}, {"path", INPUT_STRING, 0}}},
    [TOOL_GREP] = {"grep",
                   MBP_TOOL_READ_ONLY | MBP_TOOL_REPEATABLE | MBP_TOOL_SANDBOX,
                   "Finds the lines that match a regular expression (PCRE) in the text files of a directory and below, "
                   "or in one file. "
                   "Answers path:line:text. Case matters unless the pattern begins with (?i). .git and node_modules "
                   "are left out.",
                   "{\"type\":\"object\",\"properties\":{"
                   "\"pattern\":{\"type\":\"string\",\"description\":\"The regular expression\"},"
                   "\"path\":{\"type\":\"string\",\"description\":\"The file or directory to search; default: the "
                   "working directory\"}},"
                   "\"required\":[\"pattern\"],\"additionalProperties\":false}",
                   {{"pattern", INPUT_STRING, 1}, {"path", INPUT_STRING, 0}}},
};

const struct alias aliases[] = {
    {"execute_command", "bash"}, {"read_file", "read"},   {"write_file", "write"},    {"apply_diff", "edit"},
    {"list_files", "glob"},      {"search_file", "grep"}, {"search_web", "web_search"}, {"search", "web_search"},
    {NULL, NULL},
};
