/*
 * behaviours NAME[,NAME...]|all [--speed F] [--seconds S] [--rate R] [--size N] [--holding H] [--seed N]
 *
 * Call sites that behave as those of real programs do: leaks, and what only looks like one. Each has a function of its
 * own that calls malloc (or realloc), site_NAME; all have the same size of objects and the same rate, unless that is
 * what makes them what they are. F seconds of the behaviours' time pass in one second (1). After S of their seconds
 * (600), or at a line on standard input, the work is done. R objects a second (20) of N bytes (256); caches fill,
 * batches gather and cycles turn in H seconds (120).
 *
 * After DONE, of each: SITE site_NAME allocs frees allocated_bytes freed_bytes outstanding_objects outstanding_bytes
 * lost_objects lost_bytes leak|innocent, then TOTAL with the sums. Lost objects are outstanding ones that nothing
 * points at; a leak of which nothing is lost keeps all it has in a list.
 */
#include <poll.h>

#include "behaviours.h"

static double speed = 1, seconds = 600, rate = 20, holding = 120;
static size_t size = 256;
static struct rng rng;

/* A site: its truth, and the function that the profiler is to name. */
#define SITE(behaviour)                                                                                                \
	static struct site truth_##behaviour = {.name = "site_" #behaviour};                                           \
	FRAME static struct object *site_##behaviour(size_t bytes)                                                     \
	{                                                                                                              \
		return born(&truth_##behaviour, malloc(bytes), bytes);                                                 \
	}

/* How many events of `frequency` a second there were until now. */
static int events(double *next, double now, double frequency)
{
	int count = 0;

	if (*next == 0)
		*next = now + exponential(&rng, 1 / frequency);
	while (*next <= now) {
		*next += exponential(&rng, 1 / frequency);
		count++;
	}
	return count;
}

/* Microseconds of the behaviours' time. */
static uint64_t stamp(double at) { return (uint64_t)(at * 1e6); }

/* Frees those of a list whose time has come, wherever they stand in it. */
static void expire(struct list *list, double now)
{
	struct list rest = {0};
	struct object *object;

	while ((object = take(list)))
		if (object->note <= stamp(now))
			release(object);
		else
			put(&rest, object);
	*list = rest;
}

/* ---- leaks whose objects are lost ---- */

SITE(steady_leak)
static void steady_leak(double now)
{
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--)
		lose(site_steady_leak(size));
}

SITE(percent_leak)
static void percent_leak(double now)
{
	static double next;

	for (int n = events(&next, now, 10 * rate); n > 0; n--) {
		struct object *object = site_percent_leak(size);

		if (chance(&rng, 0.01))
			lose(object);
		else
			release(object);
	}
}

SITE(rare_leak)
static void rare_leak(double now)
{
	static double next;

	for (int n = events(&next, now, 1.0 / 30); n > 0; n--)
		lose(site_rare_leak(size));
}

SITE(burst_leak)
static void burst_leak(double now)
{
	static double next;

	for (int n = events(&next, now, 1.0 / 30); n > 0; n--)
		for (int i = 0; i < 20; i++)
			lose(site_burst_leak(size));
}

SITE(late_leak)
static void late_leak(double now)
{
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--) {
		struct object *object = site_late_leak(size);

		if (now >= 2 * holding)
			lose(object);
		else
			release(object);
	}
}

SITE(large_leak)
static void large_leak(double now)
{
	static double next, next_large;

	for (int n = events(&next, now, rate); n > 0; n--)
		release(site_large_leak(size));
	for (int n = events(&next_large, now, 1.0 / 20); n > 0; n--)
		lose(site_large_leak(256 * 1024));
}

SITE(accelerating_leak)
static void accelerating_leak(double now)
{
	static double done;

	for (; done < 0.1 * now + rate * now * now / (20 * holding); done += 1)
		lose(site_accelerating_leak(size));
}

SITE(error_leak)
static void error_leak(double now)
{
	static double next, next_turn;
	static bool failing;

	/* The time until the turn after this one is drawn before the turn: 20 s of failing, 60 s of peace. */
	if (events(&next_turn, now, failing ? 1.0 / 60 : 1.0 / 20) % 2)
		failing = !failing;
	for (int n = events(&next, now, rate); n > 0; n--) {
		struct object *object = site_error_leak(size);

		if (failing)
			lose(object);
		else
			release(object);
	}
}

SITE(reload_leak)
static void reload_leak(double now)
{
	static struct list current;
	static double due;

	if (now < due)
		return;
	due = now + holding / 2;
	while (current.first)
		lose(take(&current));
	for (int i = 0; i < 100; i++)
		put(&current, site_reload_leak(size));
}

/* ---- leaks that stay reachable ---- */

SITE(unbounded_cache)
static void unbounded_cache(double now)
{
	static struct list entries;
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--)
		put(&entries, site_unbounded_cache(size));
}

SITE(session_leak)
static void session_leak(double now)
{
	static struct list open, forgotten;
	static double next;

	expire(&open, now);
	for (int n = events(&next, now, rate / 4); n > 0; n--) {
		struct object *object = site_session_leak(size);

		object->note = stamp(now + log_normal(&rng, 10, 0.6));
		put(chance(&rng, 0.05) ? &forgotten : &open, object);
	}
}

/* ---- innocents ---- */

SITE(churn)
static void churn(double now)
{
	static struct list live;
	static double next;

	expire(&live, now);
	for (int n = events(&next, now, rate); n > 0; n--) {
		struct object *object = site_churn(size);

		object->note = stamp(now + exponential(&rng, 2));
		put(&live, object);
	}
}

SITE(step)
static void step(double now)
{
	static struct list kept;

	while (now >= holding && kept.count < 1000)
		put(&kept, site_step(size));
}

SITE(load_cycle)
static void load_cycle(double now)
{
	static struct list live;
	static double next;

	expire(&live, now);
	for (int n = events(&next, now, 2 * rate); n > 0; n--) {
		struct object *object;

		if (!chance(&rng, 0.5 + 0.45 * sin(6.283185307179586 * now / holding)))
			continue;
		object = site_load_cycle(size);
		object->note = stamp(now + exponential(&rng, 10));
		put(&live, object);
	}
}

SITE(warm_up)
static void warm_up(double now)
{
	static struct list table;
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--)
		if (chance(&rng, 1 - (double)table.count / (rate * holding / 3)))
			put(&table, site_warm_up(size));
}

SITE(lru)
static void lru(double now)
{
	static struct list entries;
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--) {
		if ((double)entries.count >= rate * holding)
			release(take(&entries));
		put(&entries, site_lru(size));
	}
}

#define SLOTS 65536
SITE(random_eviction)
static void random_eviction(double now)
{
	static struct object *slots[SLOTS];
	static uint64_t used;
	static double next;
	uint64_t capacity = (uint64_t)(rate * holding);

	if (capacity > SLOTS)
		capacity = SLOTS;
	for (int n = events(&next, now, rate); n > 0; n--) {
		uint64_t slot = used < capacity ? used++ : rng_below(&rng, capacity);

		release(slots[slot]);
		slots[slot] = site_random_eviction(size);
	}
}

SITE(ttl)
static void ttl(double now)
{
	static struct list entries;
	static double next;

	while (entries.first && entries.first->note <= stamp(now))
		release(take(&entries));
	for (int n = events(&next, now, rate); n > 0; n--) {
		struct object *object = site_ttl(size);

		object->note = stamp(now + holding);
		put(&entries, object);
	}
}

SITE(backlog)
static void backlog(double now)
{
	static struct list queue;
	static double next, next_served;
	bool rests = fmod(now, 2 * holding) < holding / 2;
	int served = events(&next_served, now, 2 * rate);

	for (int n = events(&next, now, rate); n > 0; n--)
		put(&queue, site_backlog(size));
	for (; !rests && served > 0 && queue.first; served--)
		release(take(&queue));
}

/* realloc is a free and an allocation, both at the site. */
static struct site truth_vectors = {.name = "site_vectors"};
FRAME static struct object *site_vectors(struct object *old, size_t bytes)
{
	if (old) {
		truth_vectors.frees++;
		truth_vectors.freed += old->size;
	}
	return born(&truth_vectors, realloc(old, bytes), bytes);
}

static void vectors(double now)
{
	static struct object *all[8];
	size_t most = 1 << 20;

	for (int i = 0; i < 8; i++) {
		size_t wanted = (size_t)(now / holding / (i + 1) * 8 * (double)most / 8) + 1, have = all[i] ? all[i]->size : 0;

		if (wanted > most)
			wanted = most;
		while (have < wanted) {
			have = have ? 2 * have : size;
			all[i] = site_vectors(all[i], have);
		}
	}
}

SITE(sessions)
static void sessions(double now)
{
	static struct list open;
	static double next;

	expire(&open, now);
	for (int n = events(&next, now, rate / 4); n > 0; n--) {
		struct object *object = site_sessions(size);

		object->note = stamp(now + log_normal(&rng, 5, 1.2));
		put(&open, object);
	}
}

SITE(thread_caches)
static void thread_caches(double now)
{
	static struct list caches[8];
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--) {
		/* The threads start one after the other. */
		int started = (int)(now / holding * 8) + 1;
		struct list *cache = &caches[rng_below(&rng, started < 8 ? (uint64_t)started : 8)];

		if (cache->count >= 100)
			release(take(cache));
		put(cache, site_thread_caches(size));
	}
}

SITE(batch)
static void batch(double now)
{
	static struct list gathered;
	static double next, due;

	if (due == 0)
		due = holding;
	if (now >= due) {
		release_all(&gathered);
		due = now + holding;
	}
	for (int n = events(&next, now, rate); n > 0; n--)
		put(&gathered, site_batch(size));
}

SITE(memtable)
static void memtable(double now)
{
	static struct list table;
	static double next;

	for (int n = events(&next, now, rate); n > 0; n--) {
		if ((double)(table.count * size) >= rate * holding * (double)size)
			release_all(&table);
		put(&table, site_memtable(size));
	}
}

SITE(arena)
static void arena(double now)
{
	static struct list blocks;
	static size_t capacity;

	while ((double)capacity < 65536 * (now < 4 * holding ? now : 4 * holding) / holding * 8) {
		size_t block = capacity ? capacity : 65536;

		put(&blocks, site_arena(block));
		capacity += block;
	}
}

SITE(reload)
static void reload(double now)
{
	static struct list current;
	static double due;

	if (now < due)
		return;
	due = now + holding / 2;
	release_all(&current);
	for (int i = 0; i < 100; i++)
		put(&current, site_reload(size));
}

SITE(generations)
static void generations(double now)
{
	static struct list young, old;
	static double next, young_due, old_due;
	struct object *object;

	for (int n = events(&next, now, rate); n > 0; n--)
		put(&young, site_generations(size));
	if (now >= young_due) {
		while ((object = take(&young)))
			if (chance(&rng, 0.1))
				put(&old, object);
			else
				release(object);
		young_due = now + holding / 10;
	}
	if (now >= old_due) {
		release_all(&old);
		old_due = now + holding;
	}
}

/* ---- the program ---- */

static const struct behaviour {
	const char *name;
	void (*run)(double now);
	struct site *truth;
	bool leaks;
} behaviours[] = {
#define LEAK(name) {#name, name, &truth_##name, true}
#define INNOCENT(name) {#name, name, &truth_##name, false}
	LEAK(steady_leak), LEAK(percent_leak), LEAK(rare_leak), LEAK(burst_leak), LEAK(late_leak), LEAK(large_leak),
	LEAK(accelerating_leak), LEAK(error_leak), LEAK(reload_leak), LEAK(unbounded_cache), LEAK(session_leak),
	INNOCENT(churn), INNOCENT(step), INNOCENT(load_cycle), INNOCENT(warm_up), INNOCENT(lru),
	INNOCENT(random_eviction), INNOCENT(ttl), INNOCENT(backlog), INNOCENT(vectors), INNOCENT(sessions),
	INNOCENT(thread_caches), INNOCENT(batch), INNOCENT(memtable), INNOCENT(arena), INNOCENT(reload),
	INNOCENT(generations),
};
#define COUNT (sizeof(behaviours) / sizeof(*behaviours))
static bool chosen[COUNT];

static void fail(const char *what, const char *word)
{
	say("behaviours: %s: %s\n", what, word);
	_exit(2);
}

static void choose(const char *names)
{
	while (*names) {
		size_t length = strcspn(names, ","), i;
		bool all = length == 3 && !strncmp(names, "all", 3), known = all;

		for (i = 0; i < COUNT; i++)
			if (all || (strlen(behaviours[i].name) == length && !strncmp(names, behaviours[i].name, length)))
				known = chosen[i] = true;
		if (!known)
			fail("no such behaviour", names);
		names += length + (names[length] == ',');
	}
}

static double positive(const char *option, const char *word)
{
	char *end;
	double value = word ? strtod(word, &end) : 0;

	if (!word || end == word || *end || !(value > 0) || value > 1e9)
		fail("wants a number above 0", option);
	return value;
}

static void parse(int argc, char **argv)
{
	uint64_t seed = 1;

	if (argc < 2)
		fail("which", "NAME[,NAME...] or all");
	choose(argv[1]);
	for (int i = 2; i < argc; i += 2) {
		double value = positive(argv[i], i + 1 < argc ? argv[i + 1] : NULL);

		if (!strcmp(argv[i], "--speed"))
			speed = value;
		else if (!strcmp(argv[i], "--seconds"))
			seconds = value;
		else if (!strcmp(argv[i], "--rate"))
			rate = value;
		else if (!strcmp(argv[i], "--size"))
			size = value < sizeof(struct object) ? sizeof(struct object) : (size_t)value;
		else if (!strcmp(argv[i], "--holding"))
			holding = value;
		else if (!strcmp(argv[i], "--seed"))
			seed = (uint64_t)value;
		else
			fail("no such option", argv[i]);
	}
	rng_seed(&rng, seed);
}

/* Rests for 2 ms, or until a line comes, which is read. */
static bool is_told_to_stop(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	if (poll(&input, 1, 2) <= 0)
		return false;
	wait_for_line();
	return true;
}

static void tell(const char *kind, const struct site *site, const char *truth)
{
	say("%s %s %llu %llu %llu %llu %llu %llu %llu %llu%s\n", kind, site->name, (unsigned long long)site->allocs,
	    (unsigned long long)site->frees, (unsigned long long)site->allocated, (unsigned long long)site->freed,
	    (unsigned long long)(site->allocs - site->frees), (unsigned long long)(site->allocated - site->freed),
	    (unsigned long long)site->lost, (unsigned long long)site->lost_bytes, truth);
}

int main(int argc, char **argv)
{
	struct site total = {.name = "all"};
	uint64_t start;
	double now = 0;

	parse(argc, argv);
	ready();
	start = nanoseconds();
	while (now < seconds) {
		now = (double)(nanoseconds() - start) * 1e-9 * speed;
		for (size_t i = 0; i < COUNT; i++)
			if (chosen[i])
				behaviours[i].run(now);
		if (is_told_to_stop())
			break;
	}
	say("DONE\n");
	for (size_t i = 0; i < COUNT; i++) {
		const struct site *site = behaviours[i].truth;

		if (!chosen[i])
			continue;
		tell("SITE", site, behaviours[i].leaks ? " leak" : " innocent");
		total.allocs += site->allocs;
		total.frees += site->frees;
		total.allocated += site->allocated;
		total.freed += site->freed;
		total.lost += site->lost;
		total.lost_bytes += site->lost_bytes;
	}
	tell("TOTAL", &total, "");
	return bye();
}
