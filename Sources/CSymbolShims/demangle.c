#include "CSymbolShims.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// Exported by libstdc++, on which the Swift runtime depends.
extern char *__cxa_demangle(const char *name, char *buffer, size_t *length, int *status);
// Exported by the Swift runtime (libswiftCore).
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *buffer_size, uint32_t flags);

size_t drip_demangle(enum drip_language language, const char *name, char *out, size_t capacity) {
  int status = 0;
  char *text = language == DRIP_SWIFT ? swift_demangle(name, strlen(name), NULL, NULL, 0)
                                      : __cxa_demangle(name, NULL, NULL, &status);
  if (!text) return 0;
  size_t used = strnlen(text, capacity);
  memcpy(out, text, used);
  free(text);
  return used;
}

static void confine(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%lu", &pages) != 1) _exit(1);
  struct rlimit memory = {.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (64ul << 20)};
  memory.rlim_max = memory.rlim_cur;
  struct rlimit time = {.rlim_cur = 1, .rlim_max = 1};
  struct rlimit none = {0};
  if (setrlimit(RLIMIT_AS, &memory) || setrlimit(RLIMIT_CPU, &time) || setrlimit(RLIMIT_CORE, &none)) _exit(1);
  // Handlers of the parent are of no use here; a crash is to end the child and nothing more.
  signal(SIGSEGV, SIG_DFL);
  signal(SIGBUS, SIG_DFL);
  signal(SIGABRT, SIG_DFL);
}

size_t drip_demangle_confined(enum drip_language language, const char *name, char *out, size_t capacity) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  pid_t child = fork();
  if (child == 0) {
    confine();
    size_t length = drip_demangle(language, name, out, capacity);
    for (size_t sent = 0; sent < length;) {
      ssize_t count = write(ends[1], out + sent, length - sent);
      if (count <= 0) break;
      sent += (size_t)count;
    }
    _exit(0);
  }
  close(ends[1]);
  size_t used = 0;
  while (child > 0 && used < capacity) {
    struct pollfd wait = {.fd = ends[0], .events = POLLIN};
    int ready = poll(&wait, 1, 3000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      kill(child, SIGKILL);
      break;
    }
    ssize_t count = read(ends[0], out + used, capacity - used);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    used += (size_t)count;
  }
  close(ends[0]);
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  return used;
}
