/*
 * kernel_objects KIND N keep|close — N objects of the kernel's, of one kind, each made by a system call of its own:
 *
 *   queue    System V message queues, which stay when their maker has gone
 *   pipe     pipes
 *   eventfd  eventfds
 *   lock     file locks
 *   epoll    registrations of eventfds in an epoll instance
 *   timerfd  timers
 *
 * READY, line, works, "DONE N", and for queues "QUEUES id id …" to remove them by, line, BYE. With "close" every object is
 * closed at once, one after the other, before DONE; "keep" leaves them to the end of the program, or for ever.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include "workload.h"

enum { MOST = 10000 };

static int made[MOST][2];
/* What locks are set in and what registrations are made with. */
static int file, instance;

static int make_queue(int *object, int index)
{
	(void)index;
	object[0] = msgget(IPC_PRIVATE, 0600);
	return object[0];
}

static int remove_queue(int *object, int index)
{
	(void)index;
	return msgctl(object[0], IPC_RMID, NULL);
}

static int make_pipe(int *object, int index)
{
	(void)index;
	return pipe(object);
}

static int make_eventfd(int *object, int index)
{
	(void)index;
	object[0] = eventfd(0, 0);
	return object[0];
}

static int make_timer(int *object, int index)
{
	(void)index;
	object[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	return object[0];
}

static int close_all(int *object, int index)
{
	(void)index;
	return close(object[0]) | (object[1] > 0 ? close(object[1]) : 0);
}

/* Apart from each other, or they would become one. */
static int lock(int *object, int index)
{
	struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = index * 2, .l_len = 1};

	(void)object;
	return fcntl(file, F_SETLK, &wanted);
}

static int unlock(int *object, int index)
{
	struct flock wanted = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = index * 2, .l_len = 1};

	(void)object;
	return fcntl(file, F_SETLK, &wanted);
}

/* Each needs a file of its own. */
static int add_to_epoll(int *object, int index)
{
	struct epoll_event event = {.events = EPOLLIN};

	(void)index;
	object[0] = eventfd(0, 0);
	return object[0] < 0 ? -1 : epoll_ctl(instance, EPOLL_CTL_ADD, object[0], &event);
}

static int remove_from_epoll(int *object, int index)
{
	return epoll_ctl(instance, EPOLL_CTL_DEL, object[0], NULL) | close_all(object, index);
}

static const struct kind {
	const char *name;
	int (*make)(int *object, int index);
	int (*undo)(int *object, int index);
} kinds[] = {
	{"queue", make_queue, remove_queue}, {"pipe", make_pipe, close_all},	{"eventfd", make_eventfd, close_all},
	{"lock", lock, unlock},		     {"timerfd", make_timer, close_all}, {"epoll", add_to_epoll, remove_from_epoll},
};

int main(int argc, char **argv)
{
	struct rlimit files = {.rlim_cur = 2 * MOST + 100, .rlim_max = 2 * MOST + 100};
	int count = (int)number(argc, argv, 2, 1000);
	const struct kind *kind = NULL;

	for (size_t i = 0; argc == 4 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			kind = &kinds[i];
	if (kind == NULL || count < 1 || count > MOST)
		return 2;
	setrlimit(RLIMIT_NOFILE, &files);
	file = memfd_create("locked", 0);
	instance = epoll_create1(0);
	ready();
	for (int i = 0; i < count; i++) {
		if (kind->make(made[i], i) < 0) {
			say("%s %d: %s\n", kind->name, i, strerror(errno));
			return 1;
		}
		if (strcmp(argv[3], "close") == 0)
			kind->undo(made[i], i);
	}
	say("DONE %d\n", count);
	if (kind->make == make_queue && strcmp(argv[3], "keep") == 0) {
		say("QUEUES");
		for (int i = 0; i < count; i++)
			say(" %d", made[i][0]);
		say("\n");
	}
	return bye();
}
