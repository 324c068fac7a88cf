/*
 * regions — maps and unmaps memory in every way that the kernel cuts it, and knows what is left.
 *
 * Output after DONE: REGION name maps mapped_bytes unmapped_bytes, one line per site_* function, all in whole pages.
 * A part that is unmapped counts for the site that had mapped it; a mapping that moves is unmapped at its old site and
 * mapped at the site of the mremap.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "workload.h"

#define PAGE ((size_t)4096)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

struct counts {
	uint64_t maps, mapped, unmapped;
};

enum { plain, ends, hole, fixed, grown, failing, sbrk_site, site_count };
static const char *const names[] = {
	"site_plain", "site_ends", "site_hole", "site_fixed", "site_grown", "site_failing", "site_break",
};
static struct counts counts[site_count];

static void came(int site, size_t pages)
{
	counts[site].maps++;
	counts[site].mapped += pages * PAGE;
}

static void went(int site, size_t pages)
{
	counts[site].unmapped += pages * PAGE;
}

static void *checked(void *address)
{
	if (address == MAP_FAILED) {
		say("mmap failed: %d\n", errno);
		_exit(1);
	}
	return address;
}

FRAME static void *site_plain(size_t length)
{
	return checked(mmap(NULL, length, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0));
}

FRAME static char *site_ends(void)
{
	return checked(mmap(NULL, 41 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0));
}

FRAME static char *site_hole(void)
{
	return checked(mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0));
}

FRAME static void *site_fixed(void *at)
{
	return checked(mmap(at, 5 * PAGE, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
}

FRAME static void *site_grown(void *old, size_t length, size_t longer)
{
	return checked(mremap(old, length, longer, MREMAP_MAYMOVE));
}

FRAME static void site_failing(void *good)
{
	void *none = mmap(NULL, 0, PROT_READ, ANONYMOUS, -1, 0);
	void *huge = mmap(NULL, (size_t)1 << 60, PROT_READ, ANONYMOUS, -1, 0);

	/* In the middle of a page, and to nowhere: both leave everything as it was. */
	if (none != MAP_FAILED || huge != MAP_FAILED || munmap((char *)good + 8, PAGE) == 0 ||
	    mremap(good, PAGE, (size_t)1 << 60, MREMAP_MAYMOVE) != MAP_FAILED) {
		say("a call that must fail did not\n");
		_exit(1);
	}
}

FRAME static void site_break(long bytes)
{
	if (sbrk(bytes) == (void *)-1) {
		say("sbrk failed\n");
		_exit(1);
	}
}

static void cut(void)
{
	char *base = site_plain(3 * PAGE + 5);

	came(plain, 4);
	site_failing(base);
	munmap(site_plain(10 * PAGE), 10 * PAGE);
	came(plain, 10);
	went(plain, 10);

	base = site_ends();
	came(ends, 41);
	munmap(base, PAGE);
	munmap(base + 2 * PAGE, 39 * PAGE);
	went(ends, 40);

	base = site_hole();
	came(hole, 20);
	munmap(base + 5 * PAGE, 5 * PAGE);
	went(hole, 5);
	/* Over the hole and what follows it. */
	site_fixed(base + 8 * PAGE);
	came(fixed, 5);
	went(hole, 3);
}

static void move(void)
{
	char *base = site_plain(2 * PAGE);

	came(plain, 2);
	base = site_grown(base, 2 * PAGE, 300 * PAGE);
	went(plain, 2);
	came(grown, 300);
	base = site_grown(base, 300 * PAGE, 30 * PAGE);
	went(grown, 300);
	came(grown, 30);
	munmap(base, 10 * PAGE);
	went(grown, 10);
}

static void *work(void *unused)
{
	for (int i = 0; i < 500; i++)
		munmap(site_plain(7 * PAGE), 7 * PAGE);
	return unused;
}

int main(void)
{
	pthread_t threads[4];

	/* So that the program has a heap segment, which ends at a page, before anybody looks. */
	site_break(0);
	site_break((long)(PAGE - (uintptr_t)sbrk(0) % PAGE));
	ready();
	cut();
	move();
	site_break(16 * (long)PAGE);
	came(sbrk_site, 16);
	site_break(-6 * (long)PAGE);
	went(sbrk_site, 6);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2000; i++) {
		came(plain, 7);
		went(plain, 7);
	}
	say("DONE\n");
	for (int i = 0; i < site_count; i++)
		say("REGION %s %lu %lu %lu\n", names[i], counts[i].maps, counts[i].mapped, counts[i].unmapped);
	say("END\n");
	return bye();
}
