#pragma once
#include <stdint.h>

/// pidfd_open (Linux 5.3): a descriptor that means this process for ever, or -errno. Swift cannot call the
/// variadic syscall().
int clinux_pidfd_open(int32_t pid);

/// Blocks (1) or unblocks (0) SIGINT, SIGTERM and SIGHUP for the calling thread and those that it makes.
void clinux_block_termination(int block);

/// A signalfd that is readable once one of those signals has come, or -errno.
int clinux_termination_descriptor(void);
