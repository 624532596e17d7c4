magentconfdir = $(sysconfdir)/magent
dist_magentconf_DATA = data/defaults.json
dist_bashcompletion_DATA = data/completions/magent
dist_pkgdata_DATA = data/agent.schema.json
dist_magentconf_DATA += data/prices.json
