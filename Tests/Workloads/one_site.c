/*
 * one_site N SIZE — N objects of SIZE bytes from one call site, for live tables of a known size.
 *
 * READY, line, "DONE N SIZE", line (frees all), "FREED N", line, BYE. The objects form a list through themselves,
 * so SIZE is at least 8 and nothing else is allocated.
 */
#include "workload.h"

struct node {
	struct node *next;
};

FRAME static void *allocate_here(size_t size)
{
	return malloc(size);
}

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 1, 1000), size = number(argc, argv, 2, 64), freed = 0;
	struct node *head = NULL;

	if (size < sizeof(struct node)) {
		say("one_site: SIZE must be at least %zu\n", sizeof(struct node));
		return 2;
	}
	ready();
	for (uint64_t i = 0; i < count; i++) {
		struct node *node = allocate_here(size);

		if (node == NULL) {
			say("FAILED out of memory after %lu\n", i);
			return 3;
		}
		node->next = head;
		head = node;
	}
	say("DONE %lu %lu\n", count, size);
	await_line();
	while (head != NULL) {
		struct node *next = head->next;

		free(head);
		head = next;
		freed++;
	}
	say("FREED %lu\n", freed);
	return bye();
}
