/*
 * jit_stacks ROUNDS — allocates below chains of calls through generated code, and tells each chain that it went through.
 *
 * Sixteen functions are written into executable memory, each on a page of its own between pages of no use, most of them
 * after READY; their names are in the perf map, /tmp/perf-PID.map. "jit leaf I" calls back into C, which goes on to
 * another one; "jit relay I" has a frame of another size and calls "jit leaf" of another number. All have frame pointers;
 * the C code between them has none and uses rbp as it likes.
 *
 * READY, line, ROUNDS times 1,000 chains of up to 12 calls with one malloc and free at the end of each, DONE, then for
 * each chain a line "CHAIN NAMES", the functions from main's callee to the one that calls malloc, joined by ';'; line,
 * BYE. Each chain has been gone through ROUNDS times. With ROUNDS 0 it never ends and prints nothing.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "workload.h"

enum { PAGE = 4096, FUNCTIONS = 8, CHAINS = 1000, DEEPEST = 12, CODE_BYTES = 64, BLOCK = 48 };

/* Without a frame pointer, and with something else in its register where it calls. */
#define PLAIN __attribute__((noipa, optimize("omit-frame-pointer")))
#define USE_RBP(value) __asm__ volatile("mov %0, %%rbp" : : "r"((uint64_t)(value)) : "rbp")

typedef void (*generated)(void);
static generated leaves[FUNCTIONS], relays[FUNCTIONS];
/* The calls still to go: the number of a function, with RELAY if it is gone to through a relay, or DIRECT. */
enum { RELAY = 16, DIRECT = 32 };
static unsigned char plan[DEEPEST];
static unsigned planned, done;
static volatile uint64_t sink;

PLAIN static void allocate(void)
{
	void *volatile block = malloc(BLOCK);

	USE_RBP(0x123456789);
	free(block);
	sink++;
}

PLAIN static void go_on(void);

/* A call that stays in C. */
PLAIN static void plain_call(uint64_t value)
{
	volatile char room[200];

	room[value & 127] = 1;
	USE_RBP(value * 8);
	go_on();
	sink += (uint64_t)room[value & 127];
}

PLAIN static void go_on(void)
{
	unsigned code;

	if (done == planned) {
		allocate();
		sink++;
		return;
	}
	code = plan[done++];
	USE_RBP(&plan[0]);
	if (code & DIRECT)
		plain_call(code);
	else if (code & RELAY)
		relays[code & (FUNCTIONS - 1)]();
	else
		leaves[code & (FUNCTIONS - 1)]();
	sink++;
}

/* The plan of a chain: always the same for a number. */
static void make_plan(unsigned chain)
{
	struct rng rng;

	rng_seed(&rng, chain);
	planned = 1 + rng_below(&rng, DEEPEST);
	for (unsigned i = 0; i < planned; i++) {
		unsigned kind = rng_below(&rng, 5);

		plan[i] = rng_below(&rng, FUNCTIONS) | (kind == 0 ? DIRECT : kind < 3 ? RELAY : 0);
	}
	done = 0;
}

PLAIN static void run_chain(unsigned chain)
{
	make_plan(chain);
	go_on();
	sink++;
}

/* The leaf that a relay calls. */
static unsigned behind_relay(unsigned number) { return (number + 3) % FUNCTIONS; }

static void tell_chain(unsigned chain)
{
	make_plan(chain);
	say("CHAIN run_chain;go_on");
	for (unsigned i = 0; i < planned; i++) {
		unsigned n = plan[i] & (FUNCTIONS - 1);

		if (plan[i] & DIRECT)
			say(";plain_call");
		else if (plan[i] & RELAY)
			say(";jit relay %u;jit leaf %u", n, behind_relay(n));
		else
			say(";jit leaf %u", n);
		say(";go_on");
	}
	say(";allocate\n");
}

static char map[64];

static void name_function(const unsigned char *place, const char *kind, unsigned number)
{
	char line[128];
	int file = open(map, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	int length =
		snprintf(line, sizeof(line), "%lx %x jit %s %u\n", (unsigned long)place, CODE_BYTES, kind, number);

	if (file < 0 || write(file, line, (size_t)length) != length)
		_exit(3);
	close(file);
}

/* push rbp; mov rbp, rsp; sub rsp, ROOM; mov rax, FUNCTION; call rax; leave; ret */
static generated write_function(const char *kind, unsigned number, uint32_t room, uint64_t function)
{
	static const unsigned char first[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec};
	static const unsigned char second[] = {0x48, 0xb8};
	static const unsigned char third[] = {0xff, 0xd0, 0xc9, 0xc3};
	unsigned char *place = mmap(
		NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (place == MAP_FAILED || mprotect(place + PAGE, PAGE, PROT_NONE) != 0)
		_exit(2);
	/* Not all at one place of their pages. */
	place += 64 * number;
	memcpy(place, first, sizeof(first));
	memcpy(place + 7, &room, 4);
	memcpy(place + 11, second, sizeof(second));
	memcpy(place + 13, &function, 8);
	memcpy(place + 21, third, sizeof(third));
	name_function(place, kind, number);
	return (generated)(uintptr_t)place;
}

static void write_leaves(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		leaves[i] = write_function("leaf", i, 16 * i, (uint64_t)(uintptr_t)go_on);
}

static void write_relays(void)
{
	for (unsigned i = 0; i < FUNCTIONS; i++)
		relays[i] = write_function("relay", i, 2048 - 16 * i, (uint64_t)(uintptr_t)leaves[behind_relay(i)]);
}

int main(int argc, char **argv)
{
	uint64_t rounds = number(argc, argv, 1, 20);

	snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)getpid());
	unlink(map);
	write_leaves(0, FUNCTIONS / 2);
	ready();
	write_leaves(FUNCTIONS / 2, FUNCTIONS);
	write_relays();
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++)
		for (unsigned chain = 0; chain < CHAINS; chain++)
			run_chain(chain);
	write_all("DONE\n", 5);
	for (unsigned chain = 0; chain < CHAINS; chain++)
		tell_chain(chain);
	bye();
	unlink(map);
	return 0;
}
