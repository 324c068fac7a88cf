/*
 * flood SECONDS — traffic over loopback from four threads, so that the kernel allocates and frees in system calls and in
 * interrupts at once: datagrams, connections that are opened and closed, and messages between unix sockets. Brings the
 * loopback device up. Prints "FLOOD datagrams connections messages".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_bool over;
static atomic_ulong datagrams, connections, messages;

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

/* A socket of loopback's with a port of its own. */
static int bound(int type, struct sockaddr_in *address)
{
	int one = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (one < 0 || bind(one, (struct sockaddr *)address, length) != 0 ||
	    getsockname(one, (struct sockaddr *)address, &length) != 0)
		give_up("bind");
	return one;
}

static void *send_datagrams(void *unused)
{
	struct sockaddr_in address;
	int from = socket(AF_INET, SOCK_DGRAM, 0), to = bound(SOCK_DGRAM, &address);
	char bytes[1400] = {0};

	(void)unused;
	fcntl(to, F_SETFL, O_NONBLOCK);
	while (!over) {
		for (size_t i = 0; i < 16; i++)
			sendto(from, bytes, 100 + i * 64, 0, (struct sockaddr *)&address, sizeof(address));
		while (recv(to, bytes, sizeof(bytes), 0) > 0)
			datagrams++;
	}
	close(from);
	close(to);
	return NULL;
}

static void *connect_and_close(void *unused)
{
	/* A reset leaves no socket in TIME_WAIT, which would stay for a minute. */
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr_in address;
	int listener = bound(SOCK_STREAM, &address);
	char bytes[512] = {0};

	(void)unused;
	if (listen(listener, 64) != 0)
		give_up("listen");
	while (!over) {
		int client = socket(AF_INET, SOCK_STREAM, 0), server;

		if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof(address)) != 0) {
			close(client);
			continue;
		}
		server = accept(listener, NULL, NULL);
		if (write(client, bytes, 300) == 300 && read(server, bytes, 300) > 0 && write(server, bytes, 200) == 200 &&
		    read(client, bytes, 200) > 0)
			connections++;
		setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(client);
		close(server);
	}
	close(listener);
	return NULL;
}

static void *pass_messages(void *unused)
{
	char bytes[900] = {0};
	int ends[2];

	(void)unused;
	while (!over) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
			give_up("socketpair");
		for (size_t i = 0; i < 8; i++)
			if (send(ends[0], bytes, 100 * (i + 1), MSG_DONTWAIT) > 0 && recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
				messages++;
		close(ends[0]);
		close(ends[1]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*work[])(void *) = {send_datagrams, connect_and_close, send_datagrams, pass_messages};
	struct ifreq device = {.ifr_name = "lo"};
	int any = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t threads[4];

	if (argc != 2 || atoi(argv[1]) <= 0)
		return 2;
	if (any < 0 || ioctl(any, SIOCGIFFLAGS, &device) != 0)
		give_up("lo");
	if (!(device.ifr_flags & IFF_UP)) {
		device.ifr_flags |= IFF_UP;
		if (ioctl(any, SIOCSIFFLAGS, &device) != 0)
			give_up("lo");
	}
	close(any);
	for (size_t i = 0; i < 4; i++)
		if ((errno = pthread_create(&threads[i], NULL, work[i], NULL)) != 0)
			give_up("pthread_create");
	sleep((unsigned)atoi(argv[1]));
	over = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("FLOOD %lu %lu %lu\n", (unsigned long)datagrams, (unsigned long)connections, (unsigned long)messages);
	return datagrams == 0 || connections == 0 || messages == 0;
}
