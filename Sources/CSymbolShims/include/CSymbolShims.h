#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum drip_language { DRIP_CXX, DRIP_SWIFT };

// Demangles a terminated C++ (_Z…) or Swift name into `out`, cut at `capacity` bytes and not
// terminated. Returns the length, or 0 if the name is not valid.
size_t drip_demangle(enum drip_language language, const char *name, char *out, size_t capacity);

// The same in a child process with little time and memory, for names that may expand without end.
size_t drip_demangle_confined(enum drip_language language, const char *name, char *out, size_t capacity);

// Opens a regular file for reading, resolving `path` inside the tree `root` as if it were "/".
// Returns a descriptor, or -errno. Nothing but regular files is ever really opened.
int drip_open_in_root(int root, const char *path);

// The same, but what the path names must be a regular file itself, not a link to one.
int drip_open_in_root_itself(int root, const char *path);

// As above, relative to `directory` in the ordinary way; follows magic links (/proc/PID/map_files/…).
int drip_open_regular(int directory, const char *path);

// The CRC-32 of a whole file, as .gnu_debuglink wants it. Returns 0, or -errno.
int drip_file_crc32(int fd, uint32_t *crc);

// How long to wait for a debuginfod server, in seconds: until it begins to send, while nothing more comes, in all.
struct drip_patience {
  double first_answer, stall, whole;
};

// Asks the servers of DEBUGINFOD_URLS for the debug information of a build, given in hexadecimal digits. Returns a
// descriptor of the file in the user's cache, or -errno: -ENOSYS without the library, -ETIMEDOUT when patience ended.
int drip_debuginfod_find(const char *build_id, const struct drip_patience *patience);

// Between enter and leave, a read of this thread from a mapped file beyond the file's present end
// yields zeros instead of SIGBUS: the owner of a file may truncate it at any time.
void drip_file_guard_enter(void);
void drip_file_guard_leave(void);
