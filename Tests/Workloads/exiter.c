/*
 * exiter MS — allocates every millisecond and keeps half of it; exits with status 0 after MS milliseconds, or on a
 * line from stdin, or at its end, and then allocates 100 times more first: a target that goes away while it is
 * watched.
 *
 * READY, then it works at once. Nothing is printed at the exit.
 */
#include <poll.h>

#include "workload.h"

FRAME static void round_of_work(uint64_t index)
{
	void *volatile kept = malloc(100);
	void *volatile dropped = malloc(200 + index % 100);

	(void)kept;
	free(dropped);
}

int main(int argc, char **argv)
{
	uint64_t milliseconds = number(argc, argv, 1, 1000), index = 0, begin = nanoseconds();
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	write_all("READY\n", 6);
	while (nanoseconds() - begin < milliseconds * 1000000u) {
		round_of_work(index++);
		if (poll(&input, 1, 1) > 0)
			break;
	}
	for (int i = 0; i < 100; i++)
		round_of_work(index++);
	return 0;
}
