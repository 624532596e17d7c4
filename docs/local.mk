dist_man_MANS = docs/man/magent.1 docs/man/mbp.7
EXTRA_DIST += docs/ARCHITECTURE.md docs/HACKING.md docs/LOG-FORMAT.md
