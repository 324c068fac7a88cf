/*
 * blocked [vfork] — one thread in each of the system calls that a stop might disturb. None of the waits ends by itself: each
 * that returns before the driver says so was interrupted, and is counted with what it returned.
 *
 * After READY all threads wait. A line ends them; then one line for each:
 *   CALL name returns interruptions
 * With `vfork` one more thread waits for a child of vfork to go, which nothing but a fatal signal ends.
 * where `returns` are how often the call came back before it should, and `interruptions` how many of those with EINTR.
 * The last thread, call_getpid, calls getpid without a pause, and counts results that are not its own number.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "workload.h"

static volatile int is_leaving;
static int silent_pipe[2], listener, listener_with_timeout, empty_epoll, semaphore;
static int futex_word;

static int wait_nanosleep(void)
{
	struct timespec hour = {3600, 0};
	return nanosleep(&hour, NULL);
}
static int wait_epoll(void)
{
	struct epoll_event event;
	return epoll_wait(empty_epoll, &event, 1, -1);
}
static int wait_epoll_timeout(void)
{
	struct epoll_event event;
	return epoll_wait(empty_epoll, &event, 1, 3600000);
}
static int wait_read(void)
{
	char byte;
	return (int)read(silent_pipe[0], &byte, 1);
}
static int wait_futex(void) { return (int)syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0); }
static int wait_futex_timeout(void)
{
	struct timespec hour = {3600, 0};
	return (int)syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, &hour, NULL, 0);
}
static int wait_accept(void) { return accept(listener, NULL, NULL); }
static int wait_accept_timeout(void) { return accept(listener_with_timeout, NULL, NULL); }
static int wait_poll(void)
{
	struct pollfd entry = {.fd = silent_pipe[0], .events = POLLIN};
	return poll(&entry, 1, 3600000);
}
static int wait_select(void)
{
	struct timeval hour = {3600, 0};
	return select(0, NULL, NULL, NULL, &hour);
}
static int wait_semop(void)
{
	struct sembuf take = {.sem_num = 0, .sem_op = -1};
	return semop(semaphore, &take, 1);
}
static int wait_signal(void)
{
	struct timespec hour = {3600, 0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	return sigtimedwait(&set, NULL, &hour);
}
static int call_getpid(void)
{
	static pid_t own;

	if (own == 0)
		own = (pid_t)syscall(SYS_getpid);
	/* 0 is not counted for this one. */
	return syscall(SYS_getpid) == own ? 0 : -1;
}

#define ROW(name) { #name, name, 0, 0 }
static struct call {
	const char *name;
	int (*wait)(void);
	volatile uint64_t returns, interruptions;
} calls[] = {
	ROW(wait_nanosleep), ROW(wait_epoll), ROW(wait_epoll_timeout), ROW(wait_read), ROW(wait_futex),
	ROW(wait_futex_timeout), ROW(wait_accept), ROW(wait_accept_timeout), ROW(wait_poll), ROW(wait_select),
	ROW(wait_semop), ROW(wait_signal), ROW(call_getpid),
};

static void *wait_for_ever(void *argument)
{
	struct call *call = argument;
	int is_busy = call->wait == call_getpid;

	for (;;) {
		int result = call->wait();

		if (is_leaving || (is_busy && result == 0))
			continue;
		call->returns++;
		if (result < 0 && errno == EINTR)
			call->interruptions++;
	}
	return NULL;
}

static void *wait_for_vfork(void *unused)
{
	if (vfork() == 0)
		for (;;)
			pause();
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval hour = {3600, 0};
	pthread_t thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	listener_with_timeout = socket(AF_INET, SOCK_STREAM, 0);
	empty_epoll = epoll_create1(0);
	semaphore = semget(IPC_PRIVATE, 1, 0600);
	if (pipe(silent_pipe) || bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1) ||
	    bind(listener_with_timeout, (void *)&address, sizeof(address)) || listen(listener_with_timeout, 1) ||
	    setsockopt(listener_with_timeout, SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof(hour)) || semaphore < 0)
		return 3;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (pthread_create(&thread, NULL, wait_for_ever, &calls[i]))
			return 3;
	(void)argv;
	if (argc > 1 && pthread_create(&thread, NULL, wait_for_vfork, NULL))
		return 3;
	ready();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		say("CALL %s %lu %lu\n", calls[i].name, calls[i].returns, calls[i].interruptions);
	say("DONE\n");
	await_line();
	semctl(semaphore, 0, IPC_RMID);
	_exit(0);
}
