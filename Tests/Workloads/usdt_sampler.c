/*
 * usdt_sampler SEED OPS DISTANCE: an allocator with a sampler of its own, which tells of the blocks that it has
 * chosen through the USDT probes otel_memory:alloc(pointer, size, weighted_bytes) and otel_memory:free(pointer).
 *
 * Every allocation adds its size to what was passed; once that reaches DISTANCE bytes the block is chosen, stands for
 * the bytes passed (`weighted`), and the count starts anew. A probe is reached only while its semaphore is up; the
 * choice and the truth do not depend on that. A block has a header, so its address is never one that malloc gave.
 * Some blocks are never freed.
 *
 * Output after DONE, one line per site, then the sum:
 *   SITE name samples sampled_frees weighted_bytes freed_weighted_bytes outstanding_samples outstanding_weighted
 *   TOTAL the same
 *   FIRED allocs frees: how often the probes were reached. Less than TOTAL if a semaphore was down for a while.
 */
#include "workload.h"

/*
 * A trace point: one nop, and a note that says where it is, where its semaphore is and where its arguments are
 * (the version 3 format of SystemTap). Not in the program's memory: debuggers and tracers read it from the file. The
 * note also has the address of .stapsdt.base, so that a reader can tell when the file was moved after the link.
 */
#define TRACE_POINT(provider, name, arguments, ...)                                             \
	__asm__ volatile("990:	nop\n"                                                          \
			 "	.pushsection .note.stapsdt, \"\", \"note\"\n"                   \
			 "	.balign 4\n"                                                    \
			 "	.4byte 992f - 991f, 994f - 993f, 3\n"                           \
			 "991:	.asciz \"stapsdt\"\n"                                           \
			 "992:	.balign 4\n"                                                    \
			 "993:	.8byte 990b, stapsdt_base, " #provider "_" #name "_semaphore\n" \
			 "	.asciz \"" #provider "\"\n"                                     \
			 "	.asciz \"" #name "\"\n"                                         \
			 "	.asciz \"" arguments "\"\n"                                     \
			 "994:	.balign 4\n"                                                    \
			 "	.popsection\n"                                                  \
			 : : __VA_ARGS__)

__attribute__((section(".stapsdt.base"), used, visibility("hidden"))) const char stapsdt_base;

/* In initialised data: the kernel counts them up through the mapping of the file. */
#define SEMAPHORE __attribute__((section(".probes"), used, visibility("hidden"))) volatile unsigned short
SEMAPHORE otel_memory_alloc_semaphore;
SEMAPHORE otel_memory_free_semaphore;

enum { slot_count = 512 };

/* Before every block. `site` is 1 + the index of the site, or 0 for a block that was not chosen. */
struct header {
	uint64_t site;
	uint64_t weighted;
};

static struct counters {
	uint64_t samples, frees, weighted, freed_weighted;
} counters[8];
static uint64_t distance, passed, fired_allocs, fired_frees;

FRAME static void *sampled_malloc(size_t size, unsigned site)
{
	struct header *header = malloc(sizeof(*header) + size);

	if (header == NULL) {
		say("FAILED out of memory\n");
		_exit(3);
	}
	header->site = 0;
	passed += size;
	if (passed >= distance) {
		header->site = site + 1;
		header->weighted = passed;
		passed = 0;
		counters[site].samples++;
		counters[site].weighted += header->weighted;
		if (__builtin_expect(otel_memory_alloc_semaphore, 0)) {
			fired_allocs++;
			TRACE_POINT(otel_memory, alloc, "8@%0 8@%1 8@%2", "nor"((void *)(header + 1)), "nor"(size),
				    "nor"(header->weighted));
		}
	}
	return header + 1;
}

FRAME static void sampled_free(void *pointer)
{
	struct header *header = (struct header *)pointer - 1;

	if (header->site > 0) {
		struct counters *site = &counters[header->site - 1];

		site->frees++;
		site->freed_weighted += header->weighted;
		/* Before the block is given back: from then on its address may be another's. */
		if (__builtin_expect(otel_memory_free_semaphore, 0)) {
			fired_frees++;
			TRACE_POINT(otel_memory, free, "8@%0", "nor"(pointer));
		}
	}
	free(header);
}

/* Sizes are below 1 << bits. */
#define SITE(name) FRAME static void *site_##name(size_t size, unsigned site)
SITE(tiny) { return sampled_malloc(size, site); }
SITE(usual) { return sampled_malloc(size, site); }
SITE(large) { return sampled_malloc(size, site); }
SITE(same) { return sampled_malloc(1000, ((void)size, site)); }
SITE(leak) { return sampled_malloc(size, site); }
SITE(seldom) { return sampled_malloc(size, site); }

static const struct site {
	const char *name;
	void *(*call)(size_t size, unsigned site);
	unsigned bits;
	unsigned weight;
} sites[] = {
	{ "site_tiny", site_tiny, 6, 50 },	{ "site_usual", site_usual, 10, 25 },
	{ "site_large", site_large, 16, 5 },	{ "site_same", site_same, 1, 10 },
	{ "site_leak", site_leak, 8, 9 },	{ "site_seldom", site_seldom, 12, 1 },
};

enum { site_count = sizeof(sites) / sizeof(sites[0]), leaking = 4, weights = 100 };
_Static_assert(site_count <= sizeof(counters) / sizeof(counters[0]), "every site has its counters");

static void *slots[slot_count];

/* One allocation, into a slot at random; what was there is freed. Leaks go nowhere. */
FRAME static void work(struct rng *rng, uint64_t ops)
{
	for (uint64_t i = 0; i < ops; i++) {
		uint64_t pick = rng_below(rng, weights);
		unsigned site = 0;
		void **slot = &slots[rng_below(rng, slot_count)], *block;

		while (pick >= sites[site].weight)
			pick -= sites[site++].weight;
		block = sites[site].call(rng_size(rng, sites[site].bits), site);
		if (site == leaking)
			continue;
		if (*slot != NULL)
			sampled_free(*slot);
		*slot = block;
	}
}

static void print(const char *kind, const char *name, const struct counters *c)
{
	say("%s%s %lu %lu %lu %lu %lu %lu\n", kind, name, c->samples, c->frees, c->weighted, c->freed_weighted,
	    c->samples - c->frees, c->weighted - c->freed_weighted);
}

int main(int argc, char **argv)
{
	uint64_t seed = number(argc, argv, 1, 1), ops = number(argc, argv, 2, 100000);
	struct counters total = { 0 };
	struct rng rng;

	distance = number(argc, argv, 3, 4096);
	rng_seed(&rng, seed);
	ready();
	work(&rng, ops);
	say("DONE\n");
	for (unsigned i = 0; i < site_count; i++) {
		print("SITE ", sites[i].name, &counters[i]);
		total.samples += counters[i].samples;
		total.frees += counters[i].frees;
		total.weighted += counters[i].weighted;
		total.freed_weighted += counters[i].freed_weighted;
	}
	print("TOTAL", "", &total);
	say("FIRED %lu %lu\n", fired_allocs, fired_frees);
	return bye();
}
