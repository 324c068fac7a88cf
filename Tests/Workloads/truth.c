/* truth SEED OPS THREADS: allocates and frees at random through every entry point of the C allocator and keeps
 * the truth itself, per call site. Each site is one function with one call; each is called from two others, so
 * that several stacks lead to one site.
 *
 * What counts, as in docs/architecture.md: requested bytes. A realloc that succeeds frees the old object at its
 * site and allocates the new one at the realloc's; one that fails changes nothing; realloc(p, 0) frees.
 *
 * What the library allocates inside (glibc 2.36, seen with an interposer): strdup malloc(length + 1); strndup
 * likewise; getline's first buffer malloc(120); asprintf malloc(100), then realloc(length + 1). */
#include "workload.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	MALLOC_A, MALLOC_B, MALLOC_C, BIG_MALLOC, CALLOC_A, CALLOC_B, REALLOC_NULL, REALLOC_GROW, REALLOC_SHRINK,
	REALLOC_ANY, REALLOCARRAY, REALLOCARRAY_NULL, POSIX_MEMALIGN, ALIGNED_ALLOC, MEMALIGN, VALLOC, PVALLOC, STRDUP,
	STRNDUP, ASPRINTF, GETLINE, SITES
};
static const char *const names[SITES] = {
	"site_malloc_a", "site_malloc_b", "site_malloc_c", "site_big_malloc", "site_calloc_a", "site_calloc_b",
	"site_realloc_null", "site_realloc_grow", "site_realloc_shrink", "site_realloc_any", "site_reallocarray",
	"site_reallocarray_null", "site_posix_memalign", "site_aligned_alloc", "site_memalign", "site_valloc",
	"site_pvalloc", "site_strdup", "site_strndup", "site_asprintf", "site_getline",
};

static struct {
	atomic_ullong allocs, frees, allocated, freed;
} truth[SITES];

struct object {
	void *address;
	size_t size;
	int site;
};

/* Objects in flight between threads: taking one out of a slot gives the right to free it. */
#define SLOTS 4096
static struct object objects[SLOTS];
static atomic_int taken[SLOTS];
static pthread_barrier_t barrier;
static long operations;
static uint64_t seed;
static void *volatile sink;
/* Hidden from the optimiser, which would warn about them or work them out. */
static volatile size_t impossible = (size_t)1 << 62;

static void count_alloc(int site, size_t size)
{
	atomic_fetch_add(&truth[site].allocs, 1);
	atomic_fetch_add(&truth[site].allocated, size);
}

static void count_free(int site, size_t size)
{
	atomic_fetch_add(&truth[site].frees, 1);
	atomic_fetch_add(&truth[site].freed, size);
}

NOINLINE static void *site_malloc_a(size_t n) { void *p = malloc(n); sink = p; return p; }
NOINLINE static void *site_malloc_b(size_t n) { void *p = malloc(n); sink = p; return p; }
NOINLINE static void *site_malloc_c(size_t n) { void *p = malloc(n); sink = p; return p; }
NOINLINE static void *site_big_malloc(size_t n) { void *p = malloc(n); sink = p; return p; }
NOINLINE static void *site_calloc_a(size_t c, size_t n) { void *p = calloc(c, n); sink = p; return p; }
NOINLINE static void *site_calloc_b(size_t c, size_t n) { void *p = calloc(c, n); sink = p; return p; }
NOINLINE static void *site_realloc_null(size_t n) { void *p = realloc(NULL, n); sink = p; return p; }
NOINLINE static void *site_realloc_grow(void *o, size_t n) { void *p = realloc(o, n); sink = p; return p; }
NOINLINE static void *site_realloc_shrink(void *o, size_t n) { void *p = realloc(o, n); sink = p; return p; }
NOINLINE static void *site_realloc_any(void *o, size_t n) { void *p = realloc(o, n); sink = p; return p; }
NOINLINE static void *site_reallocarray(void *o, size_t c, size_t n) { void *p = reallocarray(o, c, n); sink = p; return p; }
NOINLINE static void *site_reallocarray_null(size_t c, size_t n) { void *p = reallocarray(NULL, c, n); sink = p; return p; }
NOINLINE static int site_posix_memalign(void **out, size_t a, size_t n) { int r = posix_memalign(out, a, n); sink = *out; return r; }
NOINLINE static void *site_aligned_alloc(size_t a, size_t n) { void *p = aligned_alloc(a, n); sink = p; return p; }
NOINLINE static void *site_memalign(size_t a, size_t n) { void *p = memalign(a, n); sink = p; return p; }
NOINLINE static void *site_valloc(size_t n) { void *p = valloc(n); sink = p; return p; }
NOINLINE static void *site_pvalloc(size_t n) { void *p = pvalloc(n); sink = p; return p; }
NOINLINE static char *site_strdup(const char *s) { char *p = strdup(s); sink = p; return p; }
NOINLINE static char *site_strndup(const char *s, size_t n) { char *p = strndup(s, n); sink = p; return p; }
NOINLINE static int site_asprintf(char **out, int v) { int r = asprintf(out, "value %d", v); sink = *out; return r; }
NOINLINE static ssize_t site_getline(char **out, size_t *room, FILE *f) { ssize_t r = getline(out, room, f); sink = *out; return r; }

/* A stream for each thread, opened before READY, with a buffer that malloc knows nothing of. */
static FILE *streams[64];
static char stream_buffers[64][256];
static char stream_text[] = "a line of text\n";

static struct object made(int site, void *address, size_t size)
{
	if (address)
		count_alloc(site, size);
	return (struct object){address, size, site};
}

/* 1 byte to 64 MiB, small ones mostly, as programs do. */
static size_t random_size(uint64_t *random)
{
	uint64_t r = random_next(random);
	unsigned bits = r % 100 < 90 ? 1 + r % 11 : r % 100 < 99 ? 8 + r % 9 : 14 + r % 13;

	return 1 + (random_next(random) & (((size_t)1 << bits) - 1));
}

static struct object create(int site, uint64_t *random, int thread)
{
	size_t n = random_size(random), count = 1 + random_next(random) % 16;
	char text[64], *string = NULL;
	size_t room = 0;
	void *p = NULL;
	int length;

	switch (site) {
	case MALLOC_A: return made(site, site_malloc_a(n), n);
	case MALLOC_B: return made(site, site_malloc_b(n), n);
	case MALLOC_C: return made(site, site_malloc_c(0), 0);
	case BIG_MALLOC: n = 131072 + random_next(random) % (64 << 20); return made(site, site_big_malloc(n), n);
	case CALLOC_A: n = 1 + n % 65536; return made(site, site_calloc_a(count, n), count * n);
	case CALLOC_B: n = 1 + n % 65536; return made(site, site_calloc_b(1, n), n);
	case REALLOC_NULL: return made(site, site_realloc_null(n), n);
	case REALLOCARRAY_NULL: n = 1 + n % 65536; return made(site, site_reallocarray_null(count, n), count * n);
	case POSIX_MEMALIGN:
		if (site_posix_memalign(&p, (size_t)8 << (random_next(random) % 8), n))
			p = NULL;
		return made(site, p, n);
	case ALIGNED_ALLOC: return made(site, site_aligned_alloc(64, n), n);
	case MEMALIGN: return made(site, site_memalign(4096, n % 100000), n % 100000);
	case VALLOC: return made(site, site_valloc(n % 10000), n % 10000);
	case PVALLOC: n = 1 + n % 10000; return made(site, site_pvalloc(n), n);
	case STRDUP:
		length = snprintf(text, sizeof(text), "text %llu", (unsigned long long)random_next(random));
		return made(site, site_strdup(text), (size_t)length + 1);
	case STRNDUP:
		length = snprintf(text, sizeof(text), "text %llu", (unsigned long long)random_next(random));
		return made(site, site_strndup(text, 3), 4);
	case ASPRINTF:
		length = site_asprintf(&string, (int)(random_next(random) % 1000));
		if (length < 0)
			return made(site, NULL, 0);
		count_alloc(site, 100);
		count_free(site, 100);
		return made(site, string, (size_t)length + 1);
	case GETLINE:
		rewind(streams[thread]);
		if (site_getline(&string, &room, streams[thread]) < 0)
			return made(site, NULL, 0);
		return made(site, string, 120);
	default: return made(MALLOC_A, site_malloc_a(n), n);
	}
}

static void destroy(struct object o)
{
	/* Counted first: once it is free, another thread's count may come at any time. */
	count_free(o.site, o.size);
	free(o.address);
}

static struct object resize(struct object o, uint64_t *random)
{
	size_t n = random_size(random), count = 1 + random_next(random) % 8;
	int site;
	void *p;

	switch (random_next(random) % 4) {
	case 0: site = REALLOC_GROW; n = o.size + 1 + n % 100000; p = site_realloc_grow(o.address, n); break;
	case 1: site = REALLOC_SHRINK; n = o.size / 2 + 1; p = site_realloc_shrink(o.address, n); break;
	case 2: site = REALLOC_ANY; p = site_realloc_any(o.address, n); break;
	default:
		site = REALLOCARRAY;
		p = site_reallocarray(o.address, count, 1 + n % 10000);
		n = count * (1 + n % 10000);
	}
	if (!p)
		return o;
	count_free(o.site, o.size);
	return made(site, p, n);
}

/* Calls that must fail and must change nothing. */
static void fail(struct object o)
{
	void *p = NULL;

	if (site_malloc_a(impossible) || site_calloc_a(impossible, 16) || site_realloc_any(o.address, impossible) ||
	    site_reallocarray(o.address, impossible, 16) || !site_posix_memalign(&p, 3, 10) ||
	    !site_posix_memalign(&p, 64, impossible) || site_aligned_alloc(64, impossible))
		_exit(3);
	free(NULL);
}

static void step(uint64_t *random, int thread)
{
	uint64_t r = random_next(random);
	unsigned slot = (unsigned)(r >> 32) % SLOTS;
	struct object o;

	if (atomic_exchange(&taken[slot], 1))
		return; /* another thread has it right now */
	o = objects[slot];
	if (!o.address) {
		int site = (int)(r % SITES);

		if (site == BIG_MALLOC && r >> 8 & 7)
			site = MALLOC_B;
		o = create(site, random, thread);
	} else if (r % 16 < 9) {
		destroy(o);
		o = (struct object){0};
	} else if (r % 16 < 14) {
		o = resize(o, random);
	} else if (r % 16 == 14) {
		fail(o);
	} else {
		void *p = site_realloc_any(o.address, 0);

		count_free(o.site, o.size);
		o = made(REALLOC_ANY, p, 0);
	}
	objects[slot] = o;
	atomic_store(&taken[slot], 0);
}

NOINLINE static void path_one(uint64_t *random, int thread) { step(random, thread); sink = random; }
NOINLINE static void path_two(uint64_t *random, int thread) { step(random, thread); sink = random; }

static void *work(void *argument)
{
	int thread = (int)(intptr_t)argument;
	uint64_t random = (seed * 64 + (uint64_t)thread + 1) * 0x9E3779B97F4A7C15ULL;

	pthread_barrier_wait(&barrier);
	for (long i = 0; i < operations; i++) {
		if (i & 1)
			path_one(&random, thread);
		else
			path_two(&random, thread);
	}
	pthread_barrier_wait(&barrier);
	/* Threads stay: their exit frees what the library made for them. */
	for (;;)
		pause();
	return NULL;
}

int main(int count, char **arguments)
{
	unsigned long long total[4] = {0};
	int threads = count > 3 ? atoi(arguments[3]) : 4;

	seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
	if (threads < 1 || threads > 64)
		return 2;
	operations = (count > 2 ? atol(arguments[2]) : 100000) / threads;
	pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;

		streams[i] = fmemopen(stream_text, sizeof(stream_text) - 1, "r");
		setvbuf(streams[i], stream_buffers[i], _IOFBF, sizeof(stream_buffers[i]));
		if (pthread_create(&thread, NULL, work, (void *)(intptr_t)i))
			return 2;
	}
	say("READY\n");
	wait_for_line();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	say("DONE\n");
	for (int i = 0; i < SITES; i++) {
		unsigned long long v[4] = {truth[i].allocs, truth[i].frees, truth[i].allocated, truth[i].freed};

		say("SITE %s %llu %llu %llu %llu\n", names[i], v[0], v[1], v[2], v[3]);
		for (int k = 0; k < 4; k++)
			total[k] += v[k];
	}
	say("TOTAL %llu %llu %llu %llu\n", total[0], total[1], total[2], total[3]);
	wait_for_line();
	say("BYE\n");
	_exit(0);
}
