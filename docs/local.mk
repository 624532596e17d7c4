EXTRA_DIST += docs/ARCHITECTURE.md docs/CONFIG.md docs/HACKING.md docs/LOG-FORMAT.md docs/TOOLS.md
dist_man_MANS = docs/man/magent.1 docs/man/magent.3 docs/man/magent-agent.5 docs/man/mbp.7
