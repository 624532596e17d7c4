/* The file tools as a program of their own, built like the rest (not static), so that they can run under sanitizers. */
#include "sandbox/tool.h"

#include <stddef.h>

int main(int argc, char **argv)
{
  mag_tool_main run = argc > 1 ? mag_tool_find(argv[1]) : NULL;
  return run ? run(argc - 1, argv + 1) : 2;
}
