dist_man_MANS =
dist_man_MANS += docs/man/magent.1
dist_man_MANS += docs/man/magent.3
dist_man_MANS += docs/man/magent-agent.5
dist_man_MANS += docs/man/mbp.7
EXTRA_DIST += docs/ARCHITECTURE.md
EXTRA_DIST += docs/BEHAVIOURS.md
EXTRA_DIST += docs/HACKING.md
EXTRA_DIST += docs/MEASUREMENTS.md
# What manual pages, help and headers refer to.
dist_doc_DATA =
dist_doc_DATA += docs/CONFIG.md
dist_doc_DATA += docs/LOG-FORMAT.md
dist_doc_DATA += docs/TOOLS.md
