magentconfdir = $(sysconfdir)/magent
dist_magentconf_DATA = data/defaults.json data/prices.json
dist_bashcompletion_DATA = data/completions/magent
