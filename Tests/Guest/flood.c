/*
 * flood SECONDS: traffic over loopback by UDP, TCP and unix sockets in four threads, so that the kernel allocates and
 * frees in tasks and in soft interrupts at once. Everything is closed at its end. Says how many messages went.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { threads = 4, message_bytes = 600 };

static atomic_ulong messages;
static atomic_int done;

static struct sockaddr_in loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return address;
}

/* Two ends of a conversation; 0 on success. */
static int udp_pair(int ends[2])
{
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in address = loopback();

		ends[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (ends[i] < 0 || bind(ends[i], (struct sockaddr *)&address, sizeof(address)))
			return -1;
	}
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in address;
		socklen_t length = sizeof(address);

		if (getsockname(ends[1 - i], (struct sockaddr *)&address, &length) ||
		    connect(ends[i], (struct sockaddr *)&address, length))
			return -1;
	}
	return 0;
}

static int tcp_pair(int ends[2])
{
	struct sockaddr_in address = loopback();
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		return -1;
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (ends[0] < 0 || connect(ends[0], (struct sockaddr *)&address, length))
		return -1;
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return ends[1] < 0 ? -1 : 0;
}

static void *talk(void *argument)
{
	int kind = (int)(long)argument % 3, ends[2];
	char text[message_bytes] = { 0 };
	int failed = kind == 0 ? udp_pair(ends) : kind == 1 ? tcp_pair(ends) : socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);

	if (failed) {
		perror("flood");
		exit(1);
	}
	while (!atomic_load(&done)) {
		for (int i = 0; i < 8; i++)
			if (send(ends[0], text, sizeof(text), MSG_DONTWAIT) > 0)
				atomic_fetch_add(&messages, 1);
		while (recv(ends[1], text, sizeof(text), MSG_DONTWAIT) > 0)
			;
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

int main(int count, char **words)
{
	pthread_t thread[threads];
	struct timespec time = { .tv_sec = count > 1 ? atoi(words[1]) : 1 };

	for (long i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, talk, (void *)i);
	nanosleep(&time, NULL);
	atomic_store(&done, 1);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%lu messages\n", atomic_load(&messages));
	return 0;
}
