/*
 * truth SEED OPS THREADS — random work on every entry point of glibc's allocator, counted by itself, exactly.
 *
 * Each call of the allocator stands in a function of its own, `site_*`, and the truth is kept per such function:
 *
 *   size       is what was asked for: malloc(n), calloc(a, b) = a * b, posix_memalign(…, n), pvalloc(n) = n unrounded.
 *   malloc(0)  is an object of 0 bytes.
 *   realloc    of an object is a free at that object's site and an allocation at the realloc's, moved or not;
 *              realloc(NULL, n) is an allocation; realloc(p, 0) frees p, and what it gives is an object of 0 bytes,
 *              or NULL, which is none.
 *   failures   change nothing: sizes that nobody has, products that overflow, alignments that are none.
 *   free(NULL) is nothing.
 *
 * With -DPORTABLE it keeps to what every allocator has (jemalloc, tcmalloc, mimalloc, musl's; build.mk has the list),
 * and so does what follows not apply, but for strdup and strndup.
 *
 * With -DNO_STRDUP it does without strdup and strndup: musl comes without call frame information, so a stack ends there.
 *
 * With -DOWN='"own_….h"' the calls go to an allocator's functions by other names than the C library's: the header names
 * them, and may add sites and say how objects are given back. strdup and strndup stay with the C library, so that
 * two allocators are at work at once; their objects are freed there and never resized.
 *
 * Library functions that allocate count as what they ask malloc for, at the site that calls them (seen with an
 * interposer on glibc 2.36):
 *
 *   strdup(s)      malloc(strlen + 1)
 *   strndup(s, n)  malloc(min(n, strlen) + 1)
 *   getline        malloc(120) for a line that fits into it
 *   asprintf       up to 2.36: malloc(100), then realloc(exact), or malloc(exact) and free if that is less than
 *                  half; either way 2 allocations and 1 free of 100 bytes. From 2.37 on: malloc(exact), by its source.
 *
 * Objects lie in a pool of slots that all threads share, so most are freed by another thread than they were made by.
 * What is in the pool at the end is outstanding. All threads are started before READY, since pthread_create callocs.
 *
 * Output after DONE, one line per site, then the sum:
 *   SITE name allocs frees allocated_bytes freed_bytes outstanding_objects outstanding_bytes
 *   TOTAL allocs frees allocated_bytes freed_bytes outstanding_objects outstanding_bytes
 */
#define _GNU_SOURCE
#ifndef PORTABLE
#include <gnu/libc-version.h>
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "workload.h"

/* Before free may be a macro. Where the program hides an allocator of its own, free is that one's. */
#ifdef HIDDEN
void __libc_free(void *);
static void release_to_libc(void *pointer) { __libc_free(pointer); }
#else
static void release_to_libc(void *pointer) { free(pointer); }
#endif

#ifdef OWN
#include OWN
#endif
#ifndef OWN_ROWS
#define OWN_ROWS
#endif

enum {
	slot_count = 4096,
	most_threads = 64,
	line_count = 512,
	mmap_threshold = 128 << 10,
	getline_buffer = 120,
	asprintf_buffer = 100,
};

/* More than this outstanding, and only small objects are made: eight threads may overshoot it by 64 MiB each. */
#define BYTES_LIMIT ((int64_t)384 << 20)

struct worker {
	pthread_t thread;
	struct rng rng;
	uint64_t ops;
	FILE *lines;
	char text[100];
};

/* Every site makes one call. `old` matters to the reallocs only. */
typedef void *(*site_function)(void *old, size_t size, struct worker *worker);

#define SITE(name) FRAME static void *site_##name(void *old, size_t size, struct worker *worker)
#define UNUSED ((void)old, (void)size, (void)worker)

SITE(malloc_tiny) { UNUSED; return malloc(size); }
SITE(malloc_a) { UNUSED; return malloc(size); }
SITE(malloc_b) { UNUSED; return malloc(size); }
SITE(malloc_zero) { UNUSED; return malloc(0); }
SITE(malloc_huge) { UNUSED; return malloc(size); }
SITE(big_malloc) { UNUSED; return malloc(size); }
SITE(calloc_one) { UNUSED; return calloc(1, size); }
SITE(calloc_many) { UNUSED; return calloc(size / 8, 8); }
SITE(calloc_overflow) { UNUSED; return calloc(size, 4); }
SITE(realloc_null) { UNUSED; return realloc(NULL, size); }
SITE(realloc_any) { UNUSED; return realloc(old, size); }
SITE(realloc_grow) { UNUSED; return realloc(old, size); }
SITE(realloc_shrink) { UNUSED; return realloc(old, size); }
SITE(realloc_same) { UNUSED; return realloc(old, size); }
SITE(realloc_zero) { UNUSED; return realloc(old, 0); }
SITE(realloc_huge) { UNUSED; return realloc(old, size); }
SITE(reallocarray) { UNUSED; return reallocarray(old, size / 16, 16); }
SITE(reallocarray_null) { UNUSED; return reallocarray(NULL, size / 4, 4); }
SITE(reallocarray_overflow) { UNUSED; return reallocarray(old, size, 4); }
SITE(aligned_alloc) { UNUSED; return aligned_alloc(64, size); }
SITE(memalign) { UNUSED; return memalign(256, size); }
SITE(memalign_big) { UNUSED; return memalign(1 << 16, size); }
SITE(valloc) { UNUSED; return valloc(size); }

#ifndef NO_STRDUP
SITE(strdup) { UNUSED; return strdup(worker->text); }
SITE(strndup) { UNUSED; return strndup(worker->text, size); }
#endif

#ifdef OWN_SITES
OWN_SITES
#endif

SITE(posix_memalign)
{
	void *result = NULL;

	UNUSED;
	return posix_memalign(&result, 128, size) == 0 ? result : NULL;
}

SITE(posix_memalign_invalid)
{
	void *result = NULL;

	UNUSED;
	return posix_memalign(&result, 3, size) == 0 ? result : NULL;
}

SITE(posix_memalign_huge)
{
	void *result = NULL;

	UNUSED;
	return posix_memalign(&result, 64, size) == 0 ? result : NULL;
}

#ifndef PORTABLE
SITE(pvalloc) { UNUSED; return pvalloc(size); }

SITE(asprintf)
{
	char *result = NULL;

	UNUSED;
	return asprintf(&result, "%s", worker->text) >= 0 ? result : NULL;
}

SITE(getline)
{
	char *line = NULL;
	size_t capacity = 0;

	UNUSED;
	return getline(&line, &capacity, worker->lines) >= 0 ? line : NULL;
}
#endif

enum kind {
	makes,      /* a new object of the size it is given */
	makes_zero, /* of 0 bytes */
	makes_text, /* a copy of the worker's text */
	makes_part, /* a copy of the beginning of the worker's text */
	prints,     /* asprintf */
	reads,      /* getline */
	fails,      /* nothing, and must return NULL */
	/* From here on they take an object. */
	remakes,    /* the object anew, with another size */
	remakes_same,
	unmakes,    /* realloc(p, 0) */
	fails_old,  /* nothing, and the object stays as it was */
};

/* How a site's sizes are chosen. */
enum sizes { tiny, usual, multiple8, multiple16, big, less, more, nobody_has, overflows };

#define ROW(name, kind, sizes, weight) { "site_" #name, site_##name, kind, sizes, weight }
static const struct site {
	const char *name;
	site_function call;
	enum kind kind;
	enum sizes sizes;
	unsigned weight;
} sites[] = {
	ROW(malloc_tiny, makes, tiny, 40),
	ROW(malloc_a, makes, usual, 30),
	ROW(malloc_b, makes, usual, 20),
	ROW(malloc_zero, makes_zero, tiny, 5),
	ROW(malloc_huge, fails, nobody_has, 4),
	ROW(big_malloc, makes, big, 1),
	ROW(calloc_one, makes, usual, 15),
	ROW(calloc_many, makes, multiple8, 15),
	ROW(calloc_overflow, fails, overflows, 4),
	ROW(realloc_null, makes, usual, 10),
	ROW(reallocarray_null, makes, multiple8, 8),
	ROW(aligned_alloc, makes, usual, 10),
	ROW(memalign, makes, usual, 10),
	ROW(memalign_big, makes, usual, 2),
	ROW(valloc, makes, usual, 5),
	ROW(posix_memalign, makes, usual, 10),
	ROW(posix_memalign_invalid, fails, tiny, 4),
	ROW(posix_memalign_huge, fails, nobody_has, 4),
#ifndef NO_STRDUP
	ROW(strdup, makes_text, tiny, 15),
	ROW(strndup, makes_part, tiny, 10),
#endif
#ifndef PORTABLE
	ROW(pvalloc, makes, usual, 5),
	ROW(asprintf, prints, tiny, 10),
	ROW(getline, reads, tiny, 10),
#endif
	OWN_ROWS
	ROW(realloc_any, remakes, usual, 15),
	ROW(realloc_grow, remakes, more, 15),
	ROW(realloc_shrink, remakes, less, 15),
	ROW(realloc_same, remakes_same, tiny, 8),
	ROW(reallocarray, remakes, multiple16, 10),
	ROW(realloc_zero, unmakes, tiny, 8),
	ROW(realloc_huge, fails_old, nobody_has, 6),
	ROW(reallocarray_overflow, fails_old, overflows, 6),
};

enum { site_count = sizeof(sites) / sizeof(sites[0]), free_weight = 80 };

static struct counters {
	_Atomic uint64_t allocs, frees, allocated, freed;
} counters[site_count];

/* A slot is empty, somebody's, or full; only who made it somebody's may touch the rest. */
enum { empty, taken, full };
static struct slot {
	_Atomic int state;
	int site;
	size_t size;
	unsigned char *pointer;
} slots[slot_count];

static _Atomic int64_t outstanding;
static struct worker workers[most_threads];
static pthread_barrier_t start, end, leave;
static int prints_through_buffer;

static void fail(const char *what)
{
	say("FAILED %s\n", what);
	_exit(3);
}

static void count_alloc(int site, size_t size)
{
	atomic_fetch_add_explicit(&counters[site].allocs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&counters[site].allocated, size, memory_order_relaxed);
	atomic_fetch_add_explicit(&outstanding, (int64_t)size, memory_order_relaxed);
}

static void count_free(int site, size_t size)
{
	atomic_fetch_add_explicit(&counters[site].frees, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&counters[site].freed, size, memory_order_relaxed);
	atomic_fetch_sub_explicit(&outstanding, (int64_t)size, memory_order_relaxed);
}

/* First and last byte only: big blocks shall cost address space, not memory. */
static void mark(struct slot *slot)
{
	if (slot->size == 0)
		return;
	slot->pointer[slot->size - 1] = 0xee;
	slot->pointer[0] = (unsigned char)slot->site;
}

static void check(const struct slot *slot)
{
	if (slot->size > 0 && slot->pointer[0] != (unsigned char)slot->site)
		fail("an object was overwritten");
}

/* Several ways lead to every site, of several depths: one site has many stacks. */
FRAME static void *call_directly(site_function call, void *old, size_t size, struct worker *worker)
{
	return call(old, size, worker);
}

FRAME static void *call_through(site_function call, void *old, size_t size, struct worker *worker)
{
	return call_directly(call, old, size, worker);
}

FRAME static void *call_deeply(site_function call, void *old, size_t size, struct worker *worker, unsigned depth)
{
	return depth == 0 ? call(old, size, worker) : call_deeply(call, old, size, worker, depth - 1);
}

FRAME static void *call_otherwise(site_function call, void *old, size_t size, struct worker *worker)
{
	return call(old, size, worker);
}

static void *call_somehow(const struct site *site, void *old, size_t size, struct worker *worker)
{
	switch (rng_below(&worker->rng, 4)) {
	case 0: return call_directly(site->call, old, size, worker);
	case 1: return call_through(site->call, old, size, worker);
	case 2: return call_otherwise(site->call, old, size, worker);
	default: return call_deeply(site->call, old, size, worker, (unsigned)rng_below(&worker->rng, 8) * 3);
	}
}

static size_t choose_size(const struct site *site, size_t old, struct worker *worker)
{
	struct rng *rng = &worker->rng;
	int is_crowded = atomic_load_explicit(&outstanding, memory_order_relaxed) > BYTES_LIMIT;
	/* One in 256 of the usual sizes goes up to 4 MiB. */
	size_t usual_size = rng_size(rng, is_crowded ? 10 : rng_below(rng, 256) == 0 ? 22 : 15);

	switch (site->sizes) {
	case tiny: return 1 + rng_below(rng, 200);
	case usual: return usual_size;
	case multiple8: return (usual_size + 7) & ~(size_t)7;
	case multiple16: return (usual_size + 15) & ~(size_t)15;
	case big: return is_crowded ? 4096 : mmap_threshold + rng_size(rng, 26) - 1;
	case less: return 1 + rng_below(rng, old);
	case more: return is_crowded ? usual_size : old + 1 + rng_below(rng, old < 1 << 24 ? old * 2 + 64 : 1 << 16);
	case nobody_has: return (size_t)PTRDIFF_MAX - rng_below(rng, 4096);
	case overflows: return SIZE_MAX / 2 - rng_below(rng, 4096);
	}
	return 1;
}

static void write_text(struct worker *worker)
{
	size_t length = rng_below(&worker->rng, 90);

	memset(worker->text, 'a' + (int)rng_below(&worker->rng, 26), length);
	worker->text[length] = 0;
}

/* Puts a new object into a slot that is ours and empty; returns the slot's next state. */
static int make(struct slot *slot, int index, struct worker *worker)
{
	const struct site *site = &sites[index];
	size_t size = choose_size(site, 0, worker);
	void *pointer;

	if (site->kind == makes_text || site->kind == makes_part || site->kind == prints)
		write_text(worker);
	if (site->kind == reads && rng_below(&worker->rng, line_count) == 0)
		rewind(worker->lines);
	pointer = call_somehow(site, NULL, size, worker);
	if (site->kind == reads && pointer == NULL)
		fail("getline");
	if (site->kind == fails) {
		if (pointer != NULL)
			fail("a call that must fail did not");
		return empty;
	}
	if (pointer == NULL)
		fail("out of memory");
	switch (site->kind) {
	case makes_zero: size = 0; break;
	case makes_text: size = strlen(worker->text) + 1; break;
	case makes_part: size = strnlen(worker->text, size) + 1; break;
	case reads: size = getline_buffer; break;
	case prints:
		size = strlen(worker->text) + 1;
		if (prints_through_buffer) {
			count_alloc(index, asprintf_buffer);
			count_free(index, asprintf_buffer);
		}
		break;
	default: break;
	}
	count_alloc(index, size);
	slot->pointer = pointer;
	slot->size = size;
	slot->site = index;
	mark(slot);
	return full;
}

static int is_of_libc(const struct slot *slot)
{
#ifdef OWN
	return sites[slot->site].kind == makes_text || sites[slot->site].kind == makes_part;
#else
	return (void)slot, 1;
#endif
}

/* Does something to the object in a slot that is ours; returns the slot's next state. */
static int change(struct slot *slot, int index, struct worker *worker)
{
	const struct site *site = &sites[index];
	size_t size = site->kind == remakes_same ? slot->size : choose_size(site, slot->size, worker);
	void *pointer;

	/* Of 0 bytes: realloc(p, 0) would free it. */
	if (site->kind == remakes_same && size == 0)
		return full;
#ifdef OWN
	if (is_of_libc(slot))
		return full;
#endif
	check(slot);
	pointer = call_somehow(site, slot->pointer, size, worker);
	if (site->kind == fails_old) {
		if (pointer != NULL)
			fail("a call that must fail did not");
		return full;
	}
	count_free(slot->site, slot->size);
	if (site->kind == unmakes && pointer == NULL)
		return empty;
	if (pointer == NULL)
		fail("out of memory");
	slot->pointer = pointer;
	if (site->kind == unmakes)
		size = 0;
	else if (slot->size > 0 && slot->pointer[0] != (unsigned char)slot->site)
		fail("realloc lost the contents");
	slot->size = size;
	slot->site = index;
	count_alloc(index, size);
	mark(slot);
	return full;
}

FRAME static void release(struct slot *slot)
{
	check(slot);
	count_free(slot->site, slot->size);
	if (is_of_libc(slot))
		release_to_libc(slot->pointer);
	else
#ifdef OWN_RELEASE
		OWN_RELEASE(slot->pointer, slot->size, sites[slot->site].call);
#else
		free(slot->pointer);
#endif
}

/* A site at random by weight, of those that take an object or of those that do not; -1 for the weight that belongs to
 * none. */
static int choose_site(struct rng *rng, int with_old, unsigned none)
{
	unsigned sum = none, at;

	for (int i = 0; i < site_count; i++)
		sum += (sites[i].kind >= remakes) == with_old ? sites[i].weight : 0;
	at = (unsigned)rng_below(rng, sum);
	for (int i = 0; i < site_count; i++) {
		if ((sites[i].kind >= remakes) != with_old)
			continue;
		if (at < sites[i].weight)
			return i;
		at -= sites[i].weight;
	}
	return -1;
}

static void step(struct worker *worker)
{
	struct slot *slot = &slots[rng_below(&worker->rng, slot_count)];
	int state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	int index;

	if (state == taken || !atomic_compare_exchange_strong_explicit(
		&slot->state, &state, taken, memory_order_acquire, memory_order_relaxed))
		return;
	if (state == empty) {
		state = make(slot, choose_site(&worker->rng, 0, 0), worker);
	} else if ((index = choose_site(&worker->rng, 1, free_weight)) >= 0) {
		state = change(slot, index, worker);
	} else {
		release(slot);
		state = empty;
	}
	atomic_store_explicit(&slot->state, state, memory_order_release);
	if (rng_below(&worker->rng, 64) == 0)
		free(NULL);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	pthread_barrier_wait(&start);
	for (uint64_t i = 0; i < worker->ops; i++)
		step(worker);
	pthread_barrier_wait(&end);
	pthread_barrier_wait(&leave);
	return NULL;
}

#ifndef PORTABLE
/* Lines of 1 to 119 bytes, over and over, with a buffer that stdio need not allocate. */
static FILE *open_lines(int index)
{
	static char buffers[most_threads][4096];
	char line[getline_buffer];
	int descriptor = memfd_create("lines", MFD_CLOEXEC);
	FILE *file;

	for (int i = 0; i < 2 * line_count * 16; i++) {
		size_t length = 1 + (size_t)i * 7 % (getline_buffer - 1);

		memset(line, 'l', length);
		line[length - 1] = '\n';
		if (write(descriptor, line, length) != (ssize_t)length)
			fail("memfd");
	}
	lseek(descriptor, 0, SEEK_SET);
	file = fdopen(descriptor, "r");
	if (file == NULL || setvbuf(file, buffers[index], _IOFBF, sizeof(buffers[index])) != 0)
		fail("fdopen");
	return file;
}
#endif

static void print_truth(void)
{
	struct { uint64_t allocs, frees, allocated, freed; } total = { 0, 0, 0, 0 };

	write_all("DONE\n", 5);
	for (int i = 0; i < site_count; i++) {
		uint64_t allocs = counters[i].allocs, frees = counters[i].frees;
		uint64_t allocated = counters[i].allocated, freed = counters[i].freed;

		total.allocs += allocs;
		total.frees += frees;
		total.allocated += allocated;
		total.freed += freed;
		say("SITE %s %lu %lu %lu %lu %lu %lu\n", sites[i].name, allocs, frees, allocated, freed, allocs - frees,
			allocated - freed);
	}
	say("TOTAL %lu %lu %lu %lu %lu %lu\n", total.allocs, total.frees, total.allocated, total.freed,
		total.allocs - total.frees, total.allocated - total.freed);
}

int main(int argc, char **argv)
{
	uint64_t seed = number(argc, argv, 1, 1), ops = number(argc, argv, 2, 100000);
	uint64_t threads = number(argc, argv, 3, 4);

	if (threads < 1 || threads > most_threads) {
		say("truth: THREADS must be 1 to %d\n", most_threads);
		return 2;
	}
#ifndef PORTABLE
	const char *version = gnu_get_libc_version();

	prints_through_buffer = strncmp(version, "2.", 2) == 0 && atoi(version + 2) < 37;
	/* Setting it keeps it: otherwise each free of a mapped block moves it up. */
	mallopt(M_MMAP_THRESHOLD, mmap_threshold);
#endif
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&end, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&leave, NULL, (unsigned)threads + 1);
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].ops = ops / threads + (i < ops % threads);
#ifndef PORTABLE
		workers[i].lines = open_lines((int)i);
#endif
		rng_seed(&workers[i].rng, seed * 1000 + i);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			fail("pthread_create");
	}
	ready();
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	print_truth();
	await_line();
	pthread_barrier_wait(&leave);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	write_all("BYE\n", 4);
	return 0;
}
