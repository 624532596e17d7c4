magentconfdir = $(sysconfdir)/magent
dist_magentconf_DATA = data/defaults.json
dist_bashcompletion_DATA = data/completions/magent
dist_magentconf_DATA += data/prices.json
