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
