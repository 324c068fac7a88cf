#pragma once
#include <stdint.h>

/// pidfd_open (Linux 5.3): a descriptor that means this process for ever, or -errno. Swift cannot call the
/// variadic syscall().
int clinux_pidfd_open(int32_t pid);

/// Catches SIGINT, SIGTERM and SIGHUP from now on: the result is a pipe that becomes readable when one comes, or
/// -errno. A signalfd would not do: it needs the signals blocked in every thread, and Dispatch's main thread waits
/// with none blocked.
int clinux_catch_termination(void);

/// Gives those signals their usual meaning back.
void clinux_release_termination(void);
