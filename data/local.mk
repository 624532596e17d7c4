magentconfdir = $(sysconfdir)/magent
dist_magentconf_DATA = data/defaults.json
