# MAGENT_CHECK_CFLAG(FLAG, IF-YES, [IF-NO]): does the compiler take it without a word?
AC_DEFUN([MAGENT_CHECK_CFLAG],
[AC_MSG_CHECKING([whether $CC accepts $1])
magent_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [magent_flag=yes], [magent_flag=no])
CFLAGS=$magent_saved_CFLAGS
AC_MSG_RESULT([$magent_flag])
AS_IF([test $magent_flag = yes], [$2], [$3])
])

# MAGENT_CHECK_LDFLAG(FLAGS, IF-YES, [IF-NO], [LIBRARIES]): does a program link with them?
AC_DEFUN([MAGENT_CHECK_LDFLAG],
[AC_MSG_CHECKING([whether programs link with $1])
magent_saved_LDFLAGS=$LDFLAGS
magent_saved_LIBS=$LIBS
LDFLAGS="$LDFLAGS $1"
LIBS="$4 $LIBS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [magent_flag=yes], [magent_flag=no])
LDFLAGS=$magent_saved_LDFLAGS
LIBS=$magent_saved_LIBS
AC_MSG_RESULT([$magent_flag])
AS_IF([test $magent_flag = yes], [$2], [$3])
])
