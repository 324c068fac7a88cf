#include "CSymbolShims.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// The few functions of libdebuginfod that are used, as its header declares them; the library is opened when it is
// needed, so that drip neither depends on it nor loads it (and libcurl) for nothing.
typedef struct debuginfod_client client;
typedef int (*progress)(client *, long, long);

struct wait {
  double start, changed;
  double first_answer, stall, whole;
  long bytes;
  bool gave_up;
};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *(*get_user_data)(client *);

static int on_progress(client *session, long done, long total) {
  struct wait *wait = get_user_data(session);
  double time = now();
  if (total > 0 && done != wait->bytes) {
    wait->bytes = done;
    wait->changed = time;
  }
  // Until it is known how much comes, nothing has come.
  wait->gave_up = time - wait->start > wait->whole ||
                  (total > 0 ? time - wait->changed > wait->stall : time - wait->start > wait->first_answer);
  return wait->gave_up;
}

int drip_debuginfod_find(const char *build_id, const struct drip_patience *patience) {
  void *library = dlopen("libdebuginfod.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return -ENOSYS;
  client *(*begin)(void) = (client * (*)(void)) dlsym(library, "debuginfod_begin");
  void (*end)(client *) = (void (*)(client *))dlsym(library, "debuginfod_end");
  int (*find)(client *, const unsigned char *, int, char **) =
    (int (*)(client *, const unsigned char *, int, char **))dlsym(library, "debuginfod_find_debuginfo");
  void (*set_progress)(client *, progress) = (void (*)(client *, progress))dlsym(library, "debuginfod_set_progressfn");
  void (*set_user_data)(client *, void *) = (void (*)(client *, void *))dlsym(library, "debuginfod_set_user_data");
  get_user_data = (void *(*)(client *))dlsym(library, "debuginfod_get_user_data");
  if (!begin || !end || !find || !set_progress || !set_user_data || !get_user_data) return -ENOSYS;
  client *session = begin();
  if (!session) return -ENOMEM;
  struct wait wait = {.start = now(),
                      .first_answer = patience->first_answer,
                      .stall = patience->stall,
                      .whole = patience->whole};
  wait.changed = wait.start;
  set_user_data(session, &wait);
  set_progress(session, on_progress);
  // Length 0: the id is given as hexadecimal digits.
  char *path = NULL;
  int result = find(session, (const unsigned char *)build_id, 0, &path);
  free(path);
  end(session);
  return result < 0 && wait.gave_up ? -ETIMEDOUT : result;
}
