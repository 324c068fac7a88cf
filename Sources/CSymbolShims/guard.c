#define _GNU_SOURCE
#include "CSymbolShims.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

// libelf maps the files it reads. When somebody truncates such a file (`cp` over a library does), the
// next read is SIGBUS and would end this program. While a thread reads symbols, the missing page is
// replaced by zeros; libdw then sees a corrupt file, which it can deal with.
static _Thread_local volatile int depth;
static struct sigaction previous;
static uintptr_t page_size;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_bus_error(int signal, siginfo_t *info, void *context) {
  (void)context;
  if (depth > 0 && info->si_code == BUS_ADRERR) {
    void *page = (void *)((uintptr_t)info->si_addr & ~(page_size - 1));
    if (mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) return;
  }
  // Not ours: the instruction runs again and meets whoever handled the signal before.
  sigaction(signal, &previous, NULL);
}

static void install(void) {
  page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

void drip_file_guard_enter(void) {
  pthread_once(&once, install);
  depth++;
}

void drip_file_guard_leave(void) { depth--; }
