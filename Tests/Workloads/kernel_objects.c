/*
 * kernel_objects KIND COUNT: makes objects of the kernel's, when told. Says READY; on GO makes so many and says MADE; on GO
 * closes them and says CLOSED, but queues, which outlive who made them, stay; at the end of input removes those, too.
 *
 * Kinds: queues (System V), pipes, eventfds, locks (of a file), epoll (registrations), timers (timerfd).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { most = 4096 };

static int objects[most], others[most], count, file = -1, queue;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int made(int object, const char *what)
{
	if (object < 0)
		fail(what);
	return object;
}

static void make(const char *kind, int i)
{
	int ends[2];

	if (!strcmp(kind, "queues")) {
		objects[i] = made(msgget(IPC_PRIVATE, IPC_CREAT | 0600), "msgget");
	} else if (!strcmp(kind, "pipes")) {
		made(pipe(ends), "pipe");
		objects[i] = ends[0];
		others[i] = ends[1];
	} else if (!strcmp(kind, "eventfds")) {
		objects[i] = made(eventfd(0, 0), "eventfd");
	} else if (!strcmp(kind, "locks")) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i * 2, .l_len = 1 };

		made(fcntl(file, F_SETLK, &lock), "fcntl");
	} else if (!strcmp(kind, "epoll")) {
		struct epoll_event event = { .events = EPOLLIN };

		objects[i] = made(eventfd(0, 0), "eventfd");
		made(epoll_ctl(queue, EPOLL_CTL_ADD, objects[i], &event), "epoll_ctl");
	} else if (!strcmp(kind, "timers")) {
		objects[i] = made(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd_create");
	} else {
		fprintf(stderr, "kernel_objects: unknown kind %s\n", kind);
		exit(2);
	}
}

static void release(const char *kind)
{
	for (int i = 0; i < count && strcmp(kind, "queues") && strcmp(kind, "locks"); i++) {
		close(objects[i]);
		if (!strcmp(kind, "pipes"))
			close(others[i]);
	}
	/* All locks of a process on a file go when it closes it. */
	if (!strcmp(kind, "locks"))
		close(file);
}

int main(int words, char **word)
{
	struct rlimit limit = { 3 * most, 3 * most };
	char line[16], name[] = "/tmp/kernel_objects.XXXXXX";

	if (words != 3 || (count = atoi(word[2])) < 1 || count > most)
		return 2;
	setrlimit(RLIMIT_NOFILE, &limit);
	file = made(mkstemp(name), "mkstemp");
	unlink(name);
	queue = made(epoll_create1(0), "epoll_create1");
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("READY");
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	for (int i = 0; i < count; i++)
		make(word[1], i);
	puts("MADE");
	if (fgets(line, sizeof(line), stdin)) {
		release(word[1]);
		puts("CLOSED");
		while (fgets(line, sizeof(line), stdin))
			;
	}
	for (int i = 0; i < count && !strcmp(word[1], "queues"); i++)
		msgctl(objects[i], IPC_RMID, NULL);
	return 0;
}
