#pragma once
#include <stddef.h>
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

/// ptrace(2) requests, which Swift cannot make: the function is variadic. All give 0 or -errno, and must come from
/// the thread that seized. The options are those that report fork, vfork, clone and exec.
int clinux_ptrace_seize(int32_t thread);
int clinux_ptrace_interrupt(int32_t thread);
/// Lets a stopped thread run on and gives it a signal; 0 for none.
int clinux_ptrace_continue(int32_t thread, int signal);
/// The same until the next entry or exit of a system call.
int clinux_ptrace_to_syscall(int32_t thread, int signal);
/// Keeps a thread in its group's stop, but hears of what follows.
int clinux_ptrace_listen(int32_t thread);
int clinux_ptrace_detach(int32_t thread, int signal);
/// What the last event is about: a child's number, or the number that an executing thread had.
int clinux_ptrace_message(int32_t thread, uint64_t *message);
/// The number of the system call that a thread has just returned from (Linux 5.3); negative at its entry or on
/// failure.
int64_t clinux_ptrace_syscall_exit(int32_t thread);

/// Waits for the next change of any child or traced thread; its number, or -errno. EINTR is an answer.
int32_t clinux_wait_any(int *status);
/// Makes SIGUSR2 interrupt a wait in the thread that it is sent to.
int clinux_catch_wakeup(void);
/// The calling thread's number, for clinux_wake.
int32_t clinux_thread(void);
/// Interrupts the wait of a thread of this process.
int clinux_wake(int32_t thread);

/// Seizes a thread without any option: it runs on, and is told of no event. All of these give 0 or -errno where
/// nothing else is said, and ptrace requests must come from the thread that seized.
int clinux_ptrace_seize_only(int32_t thread);
/// The thread's number if one of the calling thread's tracees has changed its state, 0 if it has not, or -errno.
/// Does not wait.
int32_t clinux_wait_thread(int32_t thread, int *status);
/// The general registers of a stopped thread; how many words, or -errno. `stack` is its stack pointer, `local` its
/// thread pointer; 0 where they are not known.
int64_t clinux_ptrace_registers(int32_t thread, uint64_t *words, size_t capacity, uint64_t *stack, uint64_t *local);
/// The same for vector and floating-point registers, with all that the kernel keeps beside them.
int64_t clinux_ptrace_vectors(int32_t thread, uint64_t *words, size_t capacity);

/// process_vm_readv: how many bytes could be read, or -errno. What lies beyond the first that cannot is not read.
int64_t clinux_read_memory(int32_t pid, uint64_t address, void *into, size_t length);
/// Ranges of pages in [start, end) that are in memory or swapped out (PAGEMAP_SCAN of Linux 6.7 on an open
/// /proc/PID/pagemap): pairs of begin and end, at most `capacity` pairs; how many, or -errno. `own_only`: no page that
/// is still the file's. `reached`: how far it came.
int64_t clinux_pages_in_use(
	int pagemap, uint64_t start, uint64_t end, int own_only, uint64_t *ranges, size_t capacity, uint64_t *reached);

/// Whether the stop has interrupted a system call of a stopped thread that the kernel will not restart by itself: the
/// program would see EINTR without a signal.
int clinux_ptrace_was_interrupted(int32_t thread);
/// Lets that thread begin the system call anew when it goes on; 0 or -errno.
int clinux_ptrace_begin_anew(int32_t thread);
