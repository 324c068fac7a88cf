/*
 * forker — allocates known objects in itself, in forked children, and in a program executed by a child (itself, with
 * an argument), by fork and by vfork. Children allocate at once: whoever wants to see it must be there from their
 * first instruction. Prints READY, waits for a line, works, prints DONE, waits for a line.
 *
 *   parent          10 objects of 100 bytes at site_parent
 *   3 children      20 of 200 bytes at site_child, 5 of which are freed
 *   1 grandchild    20 of 200 bytes at site_child, 5 of which are freed, by a child that allocates nothing
 *   2 programs      30 of 300 bytes at site_executed; one was executed after fork, the other after vfork
 */
#include <sys/wait.h>

#include "children.h"

FRAME static void site_parent(void)
{
	void *blocks[10];

	allocate(10, 100, blocks);
}

FRAME static void site_executed(void)
{
	void *blocks[30];

	allocate(30, 300, blocks);
}

static void collect(pid_t child)
{
	int status = 0;

	if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
		say("a child failed: %d\n", status);
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1) {
		site_executed();
		return 0;
	}
	ready();
	site_parent();
	for (int i = 0; i < 3; i++) {
		child = fork();
		if (child == 0) {
			site_child();
			_exit(0);
		}
		collect(child);
	}
	child = fork();
	if (child == 0) {
		child = fork();
		if (child == 0) {
			site_child();
			_exit(0);
		}
		collect(child);
		_exit(0);
	}
	collect(child);
	child = fork();
	if (child == 0) {
		execl(argv[0], argv[0], "second", NULL);
		_exit(1);
	}
	collect(child);
	child = vfork();
	if (child == 0) {
		execl(argv[0], argv[0], "second", NULL);
		_exit(1);
	}
	collect(child);
	say("DONE\n");
	return bye();
}
