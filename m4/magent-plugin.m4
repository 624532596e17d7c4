# MAGENT_PLUGIN(KIND, NAME, [NEEDS], [TEXT-OF-NEEDS])
# Gives --enable-KIND-NAME and --disable-KIND-NAME and the automake conditional PLUGIN_KIND_NAME.
AC_DEFUN([MAGENT_PLUGIN],
[AC_ARG_ENABLE([$1-$2],
  [AS_HELP_STRING([--disable-$1-$2], [leave out the plugin $1-$2]m4_ifval([$4], [[ (needs $4)]]))],
  [magent_want=$enableval], [magent_want=auto])
m4_ifval([$3],
[AS_IF([test "x$$3" != xyes],
  [AS_IF([test "x$magent_want" = xyes], [AC_MSG_ERROR([plugin $1-$2 needs $4])])
   magent_want=no])])
AS_IF([test "x$magent_want" != xno],
  [magent_want=yes
   magent_plugins_on="$magent_plugins_on $1-$2"],
  [magent_plugins_off="$magent_plugins_off $1-$2"])
AM_CONDITIONAL(m4_toupper([PLUGIN_$1_]m4_translit([$2], [-], [_])), [test "x$magent_want" = xyes])
])
