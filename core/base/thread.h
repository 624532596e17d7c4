/* thread.h - starting threads inside somebody else's program: no signal of the program is delivered to them, and their
 * stacks are small. */
#ifndef MAG_BASE_THREAD_H
#define MAG_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* *ret_thread is to be joined; NULL: detached. 0, or -MBP_E_LIMIT if there is no room for another thread. */
int mag_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread);

/* The same with a stack of so many bytes for the functions of the thread; its thread-local storage comes on top. */
int mag_thread_start_sized(size_t stack, void *(*run)(void *), void *argument, pthread_t *ret_thread);

#endif
