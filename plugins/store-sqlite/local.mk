store_sqlite_sources = \
  plugins/store-sqlite/plugin.c plugins/store-sqlite/store.h plugins/store-sqlite/conn.c plugins/store-sqlite/sql.c \
  plugins/store-sqlite/schema.c plugins/store-sqlite/fault.c plugins/store-sqlite/writer.c \
  plugins/store-sqlite/session.c plugins/store-sqlite/claims.c plugins/store-sqlite/read.c \
  plugins/store-sqlite/list.c plugins/store-sqlite/doc.c plugins/store-sqlite/rows.c \
  plugins/store-sqlite/probe.c
EXTRA_DIST += plugins/store-sqlite/README.md
if PLUGIN_STORE_SQLITE
plugin_LTLIBRARIES += plugins/store-sqlite/magent-store-sqlite.la
plugins_store_sqlite_magent_store_sqlite_la_SOURCES = $(store_sqlite_sources)
plugins_store_sqlite_magent_store_sqlite_la_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
plugins_store_sqlite_magent_store_sqlite_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_store_sqlite_magent_store_sqlite_la_LIBADD = $(SQLITE_LIBS)
if HAVE_CHECK
check_PROGRAMS += plugins/store-sqlite/store_sqlite_test
plugins_store_sqlite_store_sqlite_test_SOURCES = plugins/store-sqlite/store_sqlite_test.c \
  plugins/store-sqlite/store_sqlite_test.h plugins/store-sqlite/store_damage_test.c $(store_contract_sources) \
  $(store_sqlite_sources)
plugins_store_sqlite_store_sqlite_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/lib
plugins_store_sqlite_store_sqlite_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(SQLITE_CFLAGS)
plugins_store_sqlite_store_sqlite_test_LDADD = libmagcore.la $(CHECK_LIBS) $(SQLITE_LIBS)
endif
endif
