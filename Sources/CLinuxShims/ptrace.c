#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int result(long value)
{
	return value < 0 ? -errno : 0;
}

int clinux_ptrace_seize(int32_t thread)
{
	unsigned long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
		PTRACE_O_TRACESYSGOOD;

	return result(ptrace(PTRACE_SEIZE, thread, NULL, options));
}

int clinux_ptrace_interrupt(int32_t thread)
{
	return result(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL));
}

int clinux_ptrace_continue(int32_t thread, int signal)
{
	return result(ptrace(PTRACE_CONT, thread, NULL, (unsigned long)signal));
}

int clinux_ptrace_to_syscall(int32_t thread, int signal)
{
	return result(ptrace(PTRACE_SYSCALL, thread, NULL, (unsigned long)signal));
}

int clinux_ptrace_listen(int32_t thread)
{
	return result(ptrace(PTRACE_LISTEN, thread, NULL, NULL));
}

int clinux_ptrace_detach(int32_t thread, int signal)
{
	return result(ptrace(PTRACE_DETACH, thread, NULL, (unsigned long)signal));
}

int clinux_ptrace_message(int32_t thread, uint64_t *message)
{
	unsigned long value = 0;
	int error = result(ptrace(PTRACE_GETEVENTMSG, thread, NULL, &value));

	*message = value;
	return error;
}

int64_t clinux_ptrace_syscall_exit(int32_t thread)
{
#ifdef __x86_64__
	/* At an exit orig_rax still has the number; only the kernel tells entry and exit apart. */
	struct __ptrace_syscall_info info;
	long number;

	memset(&info, 0, sizeof(info));
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_EXIT)
		return -1;
	errno = 0;
	number = ptrace(PTRACE_PEEKUSER, thread, 15 * sizeof(long), NULL);
	return errno ? -1 : number;
#else
	(void)thread;
	return -1;
#endif
}

int32_t clinux_wait_any(int *status)
{
	pid_t thread = waitpid(-1, status, __WALL);

	return thread < 0 ? -errno : thread;
}

static void ignore(int signal)
{
	(void)signal;
}

int clinux_catch_wakeup(void)
{
	struct sigaction action;
	sigset_t set;

	memset(&action, 0, sizeof(action));
	action.sa_handler = ignore; /* no SA_RESTART: the wait shall end */
	if (sigaction(SIGUSR2, &action, NULL))
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int32_t clinux_thread(void)
{
	return (int32_t)gettid();
}

int clinux_wake(int32_t thread)
{
	return result(syscall(SYS_tgkill, getpid(), thread, SIGUSR2));
}
