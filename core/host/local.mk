libmagcore_la_SOURCES +=
