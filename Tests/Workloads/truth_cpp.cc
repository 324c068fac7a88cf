/*
 * truth_cpp SEED OPS [THROWS] — every form of C++'s new and delete, strings and vectors, counted by itself.
 *
 * What counts is what the operator was asked for. Aligned sizes are multiples of the alignment, since libstdc++ rounds
 * them up before it asks malloc; new of 0 bytes is left out, since it makes 1 of them. With THROWS, that many times
 * a new of a size that nobody has is caught in between; what the exception takes from malloc is not in the truth, but
 * is given back at once.
 *
 * Protocol and output as in truth.c.
 */
#include <new>
#include <string>
#include <vector>

#include "workload.h"

namespace {

struct alignas(128) Wide {
	char bytes[384];
};

struct Plain {
	char bytes[56];
};

struct Slot {
	void *pointer;
	size_t size;
	int site;
};

constexpr int slot_count = 2048;
constexpr auto page = std::align_val_t(4096);
Slot slots[slot_count];
struct rng random_numbers;

} // namespace

/* Plain C functions: their names are the sites'. */
#define SITE(name) extern "C" FRAME void *site_##name(size_t size)
#define GONE(name) static void gone_##name(void *pointer, size_t size)
#define UNUSED ((void)size)

SITE(new_bytes) { return ::operator new(size); }
GONE(new_bytes) { UNUSED; ::operator delete(pointer); }
SITE(new_sized) { return ::operator new(size); }
GONE(new_sized) { ::operator delete(pointer, size); }
SITE(new_array) { return new char[size]; }
GONE(new_array) { UNUSED; delete[] static_cast<char *>(pointer); }
SITE(new_array_sized) { return ::operator new[](size); }
GONE(new_array_sized) { ::operator delete[](pointer, size); }
SITE(new_nothrow) { return ::operator new(size, std::nothrow); }
GONE(new_nothrow) { UNUSED; ::operator delete(pointer, std::nothrow); }
SITE(new_array_nothrow) { return ::operator new[](size, std::nothrow); }
GONE(new_array_nothrow) { UNUSED; ::operator delete[](pointer, std::nothrow); }
SITE(new_huge_nothrow) { UNUSED; return ::operator new((size_t)1 << 62, std::nothrow); }
GONE(new_huge_nothrow) { UNUSED; (void)pointer; }
SITE(new_page) { return ::operator new(size & ~(size_t)4095, page); }
GONE(new_page) { UNUSED; ::operator delete(pointer, page); }
SITE(new_page_sized) { return ::operator new[](size & ~(size_t)4095, page); }
GONE(new_page_sized) { ::operator delete[](pointer, size, page); }
SITE(new_page_nothrow) { return ::operator new(size & ~(size_t)4095, page, std::nothrow); }
GONE(new_page_nothrow) { UNUSED; ::operator delete(pointer, page, std::nothrow); }
SITE(new_object) { UNUSED; return new Plain; }
GONE(new_object) { UNUSED; delete static_cast<Plain *>(pointer); }
SITE(new_wide) { UNUSED; return new Wide; }
GONE(new_wide) { UNUSED; delete static_cast<Wide *>(pointer); }
SITE(malloc) { return malloc(size); }
GONE(malloc) { UNUSED; free(pointer); }

/* The string and the vector are placed in memory of their own, which is another site's. */
static std::string texts[slot_count];
static std::vector<int> numbers[slot_count];
SITE(string) { return &(texts[size] = std::string(size + 100, 'x')); }
GONE(string) { UNUSED; std::string().swap(*static_cast<std::string *>(pointer)); }
SITE(vector) { numbers[size].reserve(size + 1); return &numbers[size]; }
GONE(vector) { UNUSED; std::vector<int>().swap(*static_cast<std::vector<int> *>(pointer)); }

namespace {

enum class Kind { sized, paged, fixed, string, vector, fails };

struct Site {
	const char *name;
	void *(*make)(size_t);
	void (*gone)(void *, size_t);
	Kind kind;
	size_t fixed;
	uint64_t allocs, frees, allocated, freed;
};

#define ROW(name, kind, fixed) { "site_" #name, site_##name, gone_##name, Kind::kind, fixed, 0, 0, 0, 0 }
Site sites[] = {
	ROW(new_bytes, sized, 0), ROW(new_sized, sized, 0), ROW(new_array, sized, 0), ROW(new_array_sized, sized, 0),
	ROW(new_nothrow, sized, 0), ROW(new_array_nothrow, sized, 0), ROW(new_huge_nothrow, fails, 0),
	ROW(new_page, paged, 0), ROW(new_page_sized, paged, 0), ROW(new_page_nothrow, paged, 0),
	ROW(new_object, fixed, sizeof(Plain)), ROW(new_wide, fixed, sizeof(Wide)), ROW(malloc, sized, 0),
	ROW(string, string, 0), ROW(vector, vector, 0),
};
constexpr int site_count = sizeof(sites) / sizeof(sites[0]);

void step(int at)
{
	Slot &slot = slots[at];
	int index = (int)rng_below(&random_numbers, site_count);
	Site &site = sites[index];
	size_t size = rng_size(&random_numbers, rng_below(&random_numbers, 256) == 0 ? 22 : 14), asked;

	if (slot.pointer) {
		Site &old = sites[slot.site];

		old.frees++;
		old.freed += slot.size;
		old.gone(slot.pointer, slot.size);
		slot.pointer = nullptr;
		return;
	}
	switch (site.kind) {
	case Kind::sized: asked = size; break;
	case Kind::paged: size += 4096; asked = size & ~(size_t)4095; break;
	case Kind::fixed: asked = site.fixed; break;
	case Kind::string: size = at; asked = (size_t)at + 101; break;
	case Kind::vector: size = at; asked = ((size_t)at + 1) * sizeof(int); break;
	default: asked = 0; break;
	}
	slot.pointer = site.make(size);
	slot.size = asked;
	slot.site = index;
	if (!slot.pointer)
		return;
	site.allocs++;
	site.allocated += asked;
}

extern "C" FRAME bool throws_once()
{
	try {
		static volatile size_t nobody_has = (size_t)1 << 62;

		/* Not an expression with new: those may be folded away. */
		::operator delete[](::operator new[](nobody_has));
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

} // namespace

int main(int argc, char **argv)
{
	uint64_t ops = number(argc, argv, 2, 30000), throws = number(argc, argv, 3, 0), caught = 0;
	uint64_t total[4] = {};

	rng_seed(&random_numbers, number(argc, argv, 1, 1));
	ready();
	for (uint64_t i = 0; i < ops; i++) {
		step((int)rng_below(&random_numbers, slot_count));
		if (throws > 0 && i % (ops / throws) == ops / throws / 2)
			caught += throws_once();
	}
	write_all("DONE\n", 5);
	say("CAUGHT %lu\n", caught);
	for (const Site &site : sites) {
		say("SITE %s %lu %lu %lu %lu %lu %lu\n", site.name, site.allocs, site.frees, site.allocated, site.freed,
			site.allocs - site.frees, site.allocated - site.freed);
		total[0] += site.allocs;
		total[1] += site.frees;
		total[2] += site.allocated;
		total[3] += site.freed;
	}
	say("TOTAL %lu %lu %lu %lu %lu %lu\n", total[0], total[1], total[2], total[3], total[0] - total[1],
		total[2] - total[3]);
	bye();
	/* No destructors: what is outstanding stays so. */
	_exit(0);
}
