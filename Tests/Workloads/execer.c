/*
 * execer — 40 objects of 100 bytes at site_before, then, after a line, executes itself in its own place, which makes
 * 60 of 200 bytes at site_after in five rounds, one for each line. READY, line, "DONE 1", line, "READY 2", then for
 * each line "DONE 2", BYE at the end of the input.
 */
#include "workload.h"

FRAME static void allocate(int count, size_t size)
{
	for (int i = 0; i < count; i++)
		*(volatile char *)malloc(size) = 1;
}

FRAME static void site_before(void)
{
	allocate(40, 100);
}

FRAME static void site_after(void)
{
	allocate(60, 200);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		say("READY 2\n");
		while (await_line()) {
			site_after();
			say("DONE 2\n");
		}
		return 0;
	}
	ready();
	site_before();
	say("DONE 1\n");
	await_line();
	execl("/proc/self/exe", argv[0], "second", NULL);
	return 1;
}
