/*
 * A library to preload into a program that does not leak: now and then it forgets to free. What it forgot is the
 * truth about leaks in an otherwise unchanged program.
 *
 *   FORGETFUL=SITE=SHARE[,SITE=SHARE...] FORGETFUL_TRUTH=FILE LD_PRELOAD=forgetful.so program
 *
 * SITE is a function, or function+0xOFFSET of a return address, or module+0xOFFSET where functions have no names: a
 * call of free() below it, at most FORGETFUL_DEPTH frames up (8), is left out with the probability SHARE. Functions are
 * those of dynamic symbol tables. FORGETFUL_AFTER seconds pass first (0). FILE has one line a site and is always up to
 * date, also if the program is killed: SITE calls forgotten_objects forgotten_bytes (as malloc_usable_size has them).
 * FORGETFUL_CENSUS=FILE writes at exit which functions free came from, and how often, so that sites can be chosen.
 * The files must not be there yet: programs that the first one starts inherit the library, find them, and do nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SITES 32
#define LINE 128
#define MOST_DEPTH 32
#define KNOWN 65536

struct rule {
	char name[64];
	double share;
	_Atomic uint64_t calls, objects, bytes;
};

/* A return address that was looked up: the rule that it belongs to, or none. */
struct known {
	_Atomic uintptr_t address;
	_Atomic int rule;
	_Atomic uint64_t calls;
};

static struct rule rules[SITES];
static int rule_count;
static int depth = 8;
static struct known known[KNOWN];
static char *truth;
static int census = -1;
static double onset;
static void (*real_free)(void *);
static _Atomic bool ready;
static __thread bool inside;
static __thread uint64_t random_state;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* xorshift64*, a state for each thread. */
static double draw(void)
{
	if (!random_state)
		random_state = ((uint64_t)(uintptr_t)&random_state ^ (uint64_t)(seconds() * 1e9)) | 1;
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (double)(random_state * 0x2545f4914f6cdd1du >> 11) * 0x1p-53;
}

/* A line of the truth, in place: readers never see a file without it. */
static void tell(int index)
{
	char line[LINE + 1];
	int length;

	if (!truth)
		return;
	length = snprintf(line, sizeof(line), "%-63s %15llu %15llu %18llu", rules[index].name,
			  (unsigned long long)rules[index].calls, (unsigned long long)rules[index].objects,
			  (unsigned long long)rules[index].bytes);
	memset(line + length, ' ', LINE - (size_t)length);
	line[LINE - 1] = '\n';
	memcpy(truth + index * LINE, line, LINE);
}

/* -1 if the file is there. */
static int create(const char *path) { return path ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1; }

static void map_truth(const char *path)
{
	size_t length = (size_t)rule_count * LINE;
	int file = create(path);

	if (file < 0 || length == 0 || ftruncate(file, (off_t)length))
		return;
	truth = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (truth == MAP_FAILED)
		truth = NULL;
	close(file);
	for (int i = 0; i < rule_count; i++)
		tell(i);
}

static void parse(const char *text)
{
	while (text && *text && rule_count < SITES) {
		const char *equals = strchr(text, '=');
		struct rule *rule = &rules[rule_count];
		char *end;

		if (!equals || equals == text || (size_t)(equals - text) >= sizeof(rule->name))
			break;
		memcpy(rule->name, text, (size_t)(equals - text));
		rule->share = strtod(equals + 1, &end);
		rule_count++;
		if (*end != ',')
			break;
		text = end + 1;
	}
}

__attribute__((constructor)) static void begin(void)
{
	void *frames[2];

	inside = true;
	parse(getenv("FORGETFUL"));
	if (getenv("FORGETFUL_DEPTH"))
		depth = atoi(getenv("FORGETFUL_DEPTH"));
	if (depth < 1 || depth > MOST_DEPTH)
		depth = MOST_DEPTH;
	map_truth(getenv("FORGETFUL_TRUTH"));
	census = create(getenv("FORGETFUL_CENSUS"));
	onset = seconds() + (getenv("FORGETFUL_AFTER") ? atof(getenv("FORGETFUL_AFTER")) : 0);
	backtrace(frames, 2); /* loads what it needs now, and not within a free */
	atomic_store(&ready, truth || census >= 0);
	inside = false;
}

/* "function", "function+0x1c" and "module+0x1234" of a return address; dladdr does not allocate. */
static void names(void *address, char function[128], char offset[128], char module[128])
{
	Dl_info info;
	const char *file;

	*function = *offset = *module = 0;
	if (!dladdr(address, &info))
		return;
	file = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
	file = file ? file + 1 : info.dli_fname ? info.dli_fname : "?";
	snprintf(module, 128, "%s+0x%lx", file, (long)((char *)address - (char *)info.dli_fbase));
	if (!info.dli_sname)
		return;
	snprintf(function, 128, "%s", info.dli_sname);
	snprintf(offset, 128, "%s+0x%lx", info.dli_sname, (long)((char *)address - (char *)info.dli_saddr));
}

static int rule_of_name(void *address)
{
	char function[128], offset[128], module[128];

	names(address, function, offset, module);
	for (int i = 0; i < rule_count; i++)
		if (!strcmp(rules[i].name, function) || !strcmp(rules[i].name, offset) || !strcmp(rules[i].name, module))
			return i;
	return -1;
}

/* The entry of a return address, looked up once; NULL if the table is full about there. */
static struct known *look_up(void *address)
{
	uintptr_t key = (uintptr_t)address;
	size_t place = key * 0x9e3779b97f4a7c15u >> 48;

	for (int probe = 0; probe < 64; probe++, place = (place + 1) % KNOWN) {
		uintptr_t found = atomic_load(&known[place].address);

		if (found == key)
			return &known[place];
		if (found)
			continue;
		/* The rule before the address: who finds the address may use the rule. Two that race write the same. */
		int rule = rule_of_name(address);
		uintptr_t nobody = 0;

		if (atomic_compare_exchange_strong(&known[place].address, &nobody, key)) {
			atomic_store(&known[place].rule, rule + 1);
			return &known[place];
		}
		if (nobody == key)
			return &known[place];
	}
	return NULL;
}

/* Whether this free is to be forgotten. */
static bool is_forgotten(void *memory)
{
	void *frames[MOST_DEPTH + 2];
	/* This function and free itself stand first. */
	int count = backtrace(frames, depth + 2);

	for (int i = 2; i < count; i++) {
		struct known *entry = look_up(frames[i]);
		int rule = entry ? atomic_load(&entry->rule) - 1 : -1;

		if (entry && census >= 0)
			atomic_fetch_add(&entry->calls, 1);
		if (rule < 0)
			continue;
		atomic_fetch_add(&rules[rule].calls, 1);
		if (draw() >= rules[rule].share || seconds() < onset)
			return false;
		atomic_fetch_add(&rules[rule].objects, 1);
		atomic_fetch_add(&rules[rule].bytes, malloc_usable_size(memory));
		tell(rule);
		return true;
	}
	return false;
}

__attribute__((noinline)) void free(void *memory)
{
	bool forgotten = false;

	if (!memory)
		return;
	if (!real_free)
		real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	if (atomic_load(&ready) && !inside) {
		inside = true;
		forgotten = is_forgotten(memory);
		inside = false;
	}
	if (!forgotten)
		real_free(memory);
	/* Not a tail call: this function is a frame. */
	__asm__ volatile("");
}

__attribute__((destructor)) static void end(void)
{
	inside = true;
	for (int i = 0; i < rule_count; i++)
		tell(i);
	for (size_t i = 0; census >= 0 && i < KNOWN; i++) {
		char function[128], offset[128], module[128];

		if (!known[i].address || !known[i].calls)
			continue;
		names((void *)known[i].address, function, offset, module);
		dprintf(census, "%llu %s %s\n", (unsigned long long)known[i].calls, *offset ? offset : "-", module);
	}
}
