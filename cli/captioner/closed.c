/* A program that is started without a standard output (>&- in a shell) must say so: what it prints goes nowhere. Go's
   runtime opens /dev/null in its place as it starts, so that every write succeeds. This runs before Go's runtime: it
   opens /dev/null there for reading alone, so that every write fails, as on a closed descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void refuse_closed_output(void) {
  if (fcntl(STDOUT_FILENO, F_GETFD) != -1 || errno != EBADF) return;
  int null = open("/dev/null", O_RDONLY);
  if (null == -1 || null == STDOUT_FILENO) return;
  dup2(null, STDOUT_FILENO);
  close(null); /* it took the place of a closed standard input, which stays closed */
}
