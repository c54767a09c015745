/* Threads of OpenMP that wait for work spin for about five milliseconds before they sleep. As soon as anything else
   runs on the machine, they spin on the cores that the work needs: beside busy loops captions then take ten times as
   long. A thread must rather spin about as long as it takes to be woken up.

   OpenMP's library reads its settings from the environment, once, before any code of this program runs but one: the
   functions in .preinit_array, which the dynamic loader calls before it starts the libraries. At that point the C
   library is not there yet either, and forgets a setenv. So the program starts itself anew with the setting, before
   anything else has started: that costs a few milliseconds.

   Whoever sets OMP_WAIT_POLICY or GOMP_SPINCOUNT has decided otherwise, and is left alone. */
#ifdef __linux__
#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* About 20 to 50 microseconds. It is what libgomp itself takes where there are more threads than cores. */
#define SETTING "GOMP_SPINCOUNT=1000"

static int sets(const char *entry, const char *name) {
  const size_t n = strlen(name);
  return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static void wait_briefly(int argc, char **argv, char **envp) {
  const char *program = (const char *)getauxval(AT_EXECFN);
  (void)argc;
  size_t n = 0;
  for (; envp[n]; n++)
    if (sets(envp[n], "OMP_WAIT_POLICY") || sets(envp[n], "GOMP_SPINCOUNT")) return;
  /* Without a base it was the dynamic loader that was started, with this program as its argument. */
  if (!program || !getauxval(AT_BASE) || getauxval(AT_SECURE)) return;
  char *with[n + 2];
  memcpy(with, envp, n * sizeof *with);
  with[n] = SETTING;
  with[n + 1] = NULL;
  execve(program, argv, with); /* where that fails, the program goes on as it is */
}

__attribute__((section(".preinit_array"), used)) static void (*before_all)(int, char **, char **) = wait_briefly;
#endif
