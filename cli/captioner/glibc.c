//go:build dist && linux && amd64

/* The program of a package runs where glibc is 2.28 or newer, whatever glibc it was linked with. A linker takes the
   newest version of each symbol; glibc moved some to new versions without a change that matters here (2.34 joined
   libpthread and libdl with libc). scripts/dist/env.sh has the linker call these functions in the place of them (--wrap),
   and they call the old version, which every glibc has. scripts/dist/symbols checks that none is missing. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#define OLD(name, version) __asm__(".symver old_" #name "," #name "@GLIBC_" version)
#define WRAP(type, name, version, parameters, arguments) \
	OLD(name, version);                              \
	type old_##name parameters;                      \
	type __wrap_##name parameters { return old_##name arguments; }

WRAP(void *, dlopen, "2.2.5", (const char *file, int mode), (file, mode))
WRAP(void *, dlsym, "2.2.5", (void *handle, const char *name), (handle, name))
WRAP(int, dlclose, "2.2.5", (void *handle), (handle))
WRAP(char *, dlerror, "2.2.5", (void), ())
WRAP(int, pthread_create, "2.2.5", (pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x), (t, a, f, x))
WRAP(int, pthread_join, "2.2.5", (pthread_t t, void **result), (t, result))
WRAP(int, pthread_detach, "2.2.5", (pthread_t t), (t))
WRAP(int, pthread_sigmask, "2.2.5", (int how, const sigset_t *set, sigset_t *old), (how, set, old))
WRAP(int, pthread_getattr_np, "2.2.5", (pthread_t t, pthread_attr_t *a), (t, a))
WRAP(int, pthread_attr_getstack, "2.2.5", (const pthread_attr_t *a, void **at, size_t *size), (a, at, size))
WRAP(int, pthread_attr_getstacksize, "2.2.5", (const pthread_attr_t *a, size_t *size), (a, size))
WRAP(int, pthread_key_create, "2.2.5", (pthread_key_t *key, void (*end)(void *)), (key, end))
WRAP(int, pthread_setspecific, "2.2.5", (pthread_key_t key, const void *value), (key, value))
WRAP(void *, pthread_getspecific, "2.2.5", (pthread_key_t key), (key))
WRAP(int, pthread_once, "2.2.5", (pthread_once_t *once, void (*f)(void)), (once, f))
WRAP(int, pthread_condattr_setclock, "2.3.3", (pthread_condattr_t *a, clockid_t clock), (a, clock))
WRAP(int, pthread_mutex_trylock, "2.2.5", (pthread_mutex_t *m), (m))
WRAP(double, exp, "2.2.5", (double x), (x))
WRAP(double, log, "2.2.5", (double x), (x))
WRAP(double, log2, "2.2.5", (double x), (x))
WRAP(double, pow, "2.2.5", (double x, double y), (x, y))

/* The resolver was a library of its own until 2.34: its name of then is __res_search. */
__asm__(".symver old_res_search,__res_search@GLIBC_2.2.5");
int old_res_search(const char *, int, int, unsigned char *, int);
int __wrap_res_search(const char *name, int class, int type, unsigned char *answer, int size)
{
	return old_res_search(name, class, type, answer, size);
}

/* Until 2.33 these were functions in the program itself, over one with the version of the structure. */
int __fxstat(int version, int file, struct stat *to);
int __xstat(int version, const char *path, struct stat *to);
int __wrap_fstat(int file, struct stat *to) { return __fxstat(1, file, to); }
int __wrap_stat(const char *path, struct stat *to) { return __xstat(1, path, to); }

/* Whether there is but one thread: before 2.32 nobody told. 0 is always safe. */
char __libc_single_threaded = 0;

/* Since 2.34 glibc runs the constructors of a program, before that the program did: it hands over the function that does.
   A newer glibc calls what it is handed, and nothing else. Those in .preinit_array the dynamic loader runs everywhere. */
typedef void constructor(int, char **, char **);
extern constructor *__init_array_start[] __attribute__((visibility("hidden")));
extern constructor *__init_array_end[] __attribute__((visibility("hidden")));
extern void _init(void) __attribute__((visibility("hidden")));

static void construct(int argc, char **argv, char **environ)
{
	_init();
	for (constructor **f = __init_array_start; f < __init_array_end; f++) (*f)(argc, argv, environ);
}

typedef int start(int (*main)(int, char **, char **), int argc, char **argv, constructor *init, void (*fini)(void),
		  void (*loader_fini)(void), void *stack_end);
OLD(__libc_start_main, "2.2.5");
start old___libc_start_main;

int __wrap___libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, constructor *init,
			     void (*fini)(void), void (*loader_fini)(void), void *stack_end)
{
	return old___libc_start_main(main, argc, argv, init ? init : construct, fini, loader_fini, stack_end);
}
