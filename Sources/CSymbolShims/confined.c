#define _GNU_SOURCE
#include "CSymbolShims.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// A child that demangles one name after the other with little memory and time. One that fails is ended, and the next
// name starts another: a fork for every name would copy the page tables of all that drip has mapped each time.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t child;
static pid_t owner;
static int line = -1;

struct request {
  uint32_t language;
  uint32_t length;
  uint32_t capacity;
};

static bool receive(int fd, void *buffer, size_t length, int milliseconds) {
  for (size_t used = 0; used < length;) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready = poll(&wait, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    ssize_t count = read(fd, (char *)buffer + used, length - used);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    used += (size_t)count;
  }
  return true;
}

static bool deliver(int fd, const void *buffer, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t count = send(fd, (const char *)buffer + sent, length - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    sent += (size_t)count;
  }
  return true;
}

static void confine_memory(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%lu", &pages) != 1) _exit(1);
  fclose(file);
  struct rlimit memory = {.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (64ul << 20)};
  memory.rlim_max = memory.rlim_cur;
  struct rlimit none = {0};
  if (setrlimit(RLIMIT_AS, &memory) || setrlimit(RLIMIT_CORE, &none)) _exit(1);
}

// About a second of CPU from now on.
static void confine_time(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  rlim_t seconds = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + 2);
  struct rlimit time = {.rlim_cur = seconds, .rlim_max = RLIM_INFINITY};
  if (setrlimit(RLIMIT_CPU, &time)) _exit(1);
}

static _Noreturn void serve(int fd) {
  // Nothing of drip's may be held open from here, least of all probes. The child ends with the other end of its line.
  fd = dup2(fd, 0);
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 1u, ~0u, 0u) != 0)
#endif
    for (int other = (int)sysconf(_SC_OPEN_MAX) - 1; other > 0; other--) close(other);
  // Handlers of the parent are of no use here; a crash is to end the child and nothing more. Ctrl-C is for the parent.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGTSTP, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  confine_memory();
  struct request request;
  while (receive(fd, &request, sizeof request, -1)) {
    char *name = malloc(request.length + 1);
    char *out = malloc(request.capacity);
    if (!name || !out || !receive(fd, name, request.length, -1)) break;
    name[request.length] = 0;
    confine_time();
    uint32_t length = (uint32_t)drip_demangle(request.language, name, out, request.capacity);
    if (!deliver(fd, &length, sizeof length) || !deliver(fd, out, length)) break;
    free(name);
    free(out);
  }
  _exit(0);
}

static void end(void) {
  if (line >= 0) close(line);
  line = -1;
  // Another thread may have collected the child already, and a process forked from this one has none.
  if (child > 0 && owner == getpid() && waitpid(child, NULL, WNOHANG) == 0) {
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  child = 0;
}

static bool begin(void) {
  if (line >= 0 && owner == getpid()) return true;
  end();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  child = fork();
  if (child == 0) serve(ends[1]);
  close(ends[1]);
  line = ends[0];
  owner = getpid();
  if (child < 0) end();
  return line >= 0;
}

static bool ask(const struct request *request, const char *name, char *out, uint32_t *length) {
  return begin() && deliver(line, request, sizeof *request) && deliver(line, name, request->length) &&
         receive(line, length, sizeof *length, 3000) && *length <= request->capacity &&
         receive(line, out, *length, 3000);
}

size_t drip_demangle_confined(enum drip_language language, const char *name, char *out, size_t capacity) {
  struct request request = {
    .language = language, .length = (uint32_t)strlen(name), .capacity = (uint32_t)capacity};
  uint32_t length = 0;
  pthread_mutex_lock(&lock);
  bool answered = ask(&request, name, out, &length);
  if (!answered) end();
  pthread_mutex_unlock(&lock);
  return answered ? length : 0;
}
