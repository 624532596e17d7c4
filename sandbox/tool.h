/* tool.h - the file tools of magent-sandbox: one function each, called with argv[0] = the tool's name.
 *
 *   read  [--from N] [--to N] PATH     write --bytes N PATH <content      edit [--all] PATH <two blocks
 *   glob  [--in DIR] PATTERN           grep  [--in PATH] PATTERN
 *
 * Text for the model on stdout; exit status 0, or 1 and one line on stderr for the model, or 2 for a wrong use. With
 * --root DIR (any number of times) nothing outside of these directories is reached, whatever symbolic links say.
 */
#ifndef MAG_SANDBOX_TOOL_H
#define MAG_SANDBOX_TOOL_H

typedef int (*mag_tool_main)(int argc, char **argv);

int mag_tool_read(int argc, char **argv);
int mag_tool_write(int argc, char **argv);
int mag_tool_edit(int argc, char **argv);
int mag_tool_glob(int argc, char **argv);
int mag_tool_grep(int argc, char **argv);

/* The function of a tool, or NULL. */
mag_tool_main mag_tool_find(const char *name);

#endif
