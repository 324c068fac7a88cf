#pragma once
#include <stdint.h>

/// pidfd_open (Linux 5.3): a descriptor that means this process for ever, or -errno. Swift cannot call the
/// variadic syscall().
int clinux_pidfd_open(int32_t pid);
