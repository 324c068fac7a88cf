/*
 * sampler_sites SEED OPS: 32 call sites that allocate, keep and free, and know what each of them holds.
 *
 * Output after DONE, one line per site: SITE name outstanding_bytes outstanding_count
 */
#include "workload.h"

enum { site_count = 32, slot_count = 4096 };

/* Before every block; its bytes are part of the request. */
struct header {
	uint64_t site, size;
};

static struct {
	uint64_t bytes, count;
} held[site_count];
static struct header *slots[slot_count];

#define SITE(n) FRAME static void *site_##n(size_t size) { return malloc(size); }
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) \
	X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
EACH(SITE)
#define NAME(n) site_##n,
static void *(*const sites[site_count])(size_t) = { EACH(NAME) };

/* From 16 bytes to some 64 KiB: each site has sizes of its own. */
static size_t size_of(struct rng *rng, unsigned site)
{
	size_t most = (size_t)32 << site % 12;

	return sizeof(struct header) + rng_below(rng, most);
}

FRAME static void work(struct rng *rng, uint64_t bytes)
{
	/* The same number of bytes from each site, in turns. */
	for (uint64_t done[site_count] = { 0 }, site = 0, full = 0; full < site_count; site = (site + 1) % site_count) {
		struct header *block, **slot = &slots[rng_below(rng, slot_count)];
		size_t size = size_of(rng, (unsigned)site);

		if (done[site] >= bytes)
			continue;
		done[site] += size;
		full += done[site] >= bytes;
		block = sites[site](size);
		if (block == NULL) {
			say("FAILED out of memory\n");
			_exit(3);
		}
		*block = (struct header){ site, size };
		held[site].bytes += size;
		held[site].count++;
		if (rng_below(rng, 2) == 0)
			continue;
		if (*slot != NULL) {
			held[(*slot)->site].bytes -= (*slot)->size;
			held[(*slot)->site].count--;
			free(*slot);
		}
		*slot = block;
	}
}

int main(int argc, char **argv)
{
	struct rng rng;

	rng_seed(&rng, number(argc, argv, 1, 1));
	ready();
	work(&rng, number(argc, argv, 2, 4 << 20));
	say("DONE\n");
	for (unsigned i = 0; i < site_count; i++)
		say("SITE site_%u %lu %lu\n", i, held[i].bytes, held[i].count);
	return bye();
}
