/*
 * What the behaviours of behaviours.c share: objects that know their site, lists and queues of them, and the counts of
 * each site that are the truth. No bookkeeping is allocated by malloc: a list is threaded through its objects.
 */
#ifndef BEHAVIOURS_H
#define BEHAVIOURS_H

#include <math.h>
#include <stdbool.h>

#include "workload.h"

struct object {
	struct object *next;
	struct site *site;
	uint64_t size;
	/* When it is to be freed, or the number of its thread; a behaviour's own business. */
	uint64_t note;
};

/* What one site has done. An object is lost when nothing points at it any more. */
struct site {
	const char *name;
	uint64_t allocs, frees, allocated, freed;
	uint64_t lost, lost_bytes;
};

/* First in, first out. */
struct list {
	struct object *first, *last;
	uint64_t count;
};

static inline void put(struct list *list, struct object *object)
{
	object->next = NULL;
	if (list->last)
		list->last->next = object;
	else
		list->first = object;
	list->last = object;
	list->count++;
}

static inline struct object *take(struct list *list)
{
	struct object *object = list->first;

	if (!object)
		return NULL;
	list->first = object->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	return object;
}

/* The bookkeeping of an allocation that a site has just made. */
static inline struct object *born(struct site *site, void *memory, size_t size)
{
	struct object *object = memory;

	if (!object)
		_exit(1);
	object->next = NULL;
	object->site = site;
	object->size = size;
	object->note = 0;
	site->allocs++;
	site->allocated += size;
	return object;
}

static inline void release(struct object *object)
{
	if (!object)
		return;
	object->site->frees++;
	object->site->freed += object->size;
	free(object);
}

static inline void release_all(struct list *list)
{
	while (list->first)
		release(take(list));
}

/* From now on nothing points at it: the caller forgets it, and so does its own link. */
static inline void lose(struct object *object)
{
	object->site->lost++;
	object->site->lost_bytes += object->size;
	object->next = NULL;
}

static inline double unit(struct rng *rng) { return ((double)(rng_next(rng) >> 12) + 0.5) * 0x1p-52; }
static inline bool chance(struct rng *rng, double p) { return unit(rng) < p; }
static inline double exponential(struct rng *rng, double mean) { return -log(unit(rng)) * mean; }
static inline double log_normal(struct rng *rng, double median, double sigma)
{
	return median * exp(sigma * sqrt(-2 * log(unit(rng))) * cos(6.283185307179586 * unit(rng)));
}

#endif
