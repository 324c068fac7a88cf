/*
 * What a followed child allocates in forker and in crowd: 20 objects of 200 bytes at site_child, 5 of which are freed.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "workload.h"

FRAME static void allocate(int count, size_t size, void **out)
{
	for (int i = 0; i < count; i++) {
		out[i] = malloc(size);
		*(volatile char *)out[i] = 1;
	}
}

FRAME static void site_child(void)
{
	void *blocks[20];

	allocate(20, 200, blocks);
	for (int i = 0; i < 5; i++)
		free(blocks[i]);
}

#endif
