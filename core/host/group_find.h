/* group_find.h - where in the cgroup trees of this machine we may make groups. Private to group.c. */
#ifndef MAG_HOST_GROUP_FIND_H
#define MAG_HOST_GROUP_FIND_H

#include <stddef.h>
#include <stdint.h>

#define MAG_TREE_V2 0
#define MAG_TREE_MEMORY 1 /* v1 from here on */
#define MAG_TREE_PIDS 2
#define MAG_TREE_CPU 3
#define MAG_TREES 4

#define MAG_TREE_PATH 1024

/* A directory below which groups are made; an empty path: none. */
struct mag_group_tree {
  char path[MAG_TREE_PATH];
  uint32_t limits; /* MAG_GROUP_* that a group made there can enforce */
};

/* Looks once; the answer is kept for the life of the process. */
const struct mag_group_tree *mag_group_trees(void);

/* What the names of groups made in this pid namespace begin with; the maker's pid and "-" follow. Returns its length.
 * */
#define MAG_GROUP_PREFIX 48
size_t mag_group_prefix(char prefix[MAG_GROUP_PREFIX]);

#endif
