#define _GNU_SOURCE
#include "CSymbolShims.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// A path of the target may name a pipe or a device, whose opening blocks or acts. So every file is
// first opened as a bare path, and only a regular one is opened again for reading.
static int reopen_regular(int bare) {
  if (bare < 0) return -errno;
  struct stat status;
  int result;
  if (fstat(bare, &status) != 0) {
    result = -errno;
  } else if (!S_ISREG(status.st_mode)) {
    result = -EINVAL;
  } else {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", bare);
    result = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (result < 0) result = -errno;
  }
  close(bare);
  return result;
}

int drip_open_regular(int directory, const char *path) {
  return reopen_regular(openat(directory, path, O_PATH | O_CLOEXEC));
}

static int open_in_root(int root, const char *path, int flags) {
  // RESOLVE_IN_ROOT makes absolute links and ".." stay in the target's tree; through a plain path
  // below /proc/PID/root an absolute link would lead into ours.
  struct open_how how = {.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags), .resolve = RESOLVE_IN_ROOT};
  int bare = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (bare < 0 && errno == ENOSYS) {
    // Before Linux 5.6. What is opened is a regular file all the same.
    while (*path == '/') path++;
    bare = openat(root, path, O_PATH | O_CLOEXEC | flags);
  }
  return reopen_regular(bare);
}

int drip_open_in_root(int root, const char *path) { return open_in_root(root, path, 0); }

// With O_PATH and O_NOFOLLOW a link is opened itself, and is no regular file.
int drip_open_in_root_itself(int root, const char *path) { return open_in_root(root, path, O_NOFOLLOW); }

int drip_file_crc32(int fd, uint32_t *crc) {
  uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
    table[i] = value;
  }
  uint32_t value = 0xffffffffu;
  off_t offset = 0;
  for (;;) {
    uint8_t buffer[32768];
    ssize_t count = pread(fd, buffer, sizeof buffer, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    if (count == 0) break;
    for (ssize_t i = 0; i < count; i++) value = table[(value ^ buffer[i]) & 0xff] ^ (value >> 8);
    offset += count;
  }
  *crc = ~value;
  return 0;
}
