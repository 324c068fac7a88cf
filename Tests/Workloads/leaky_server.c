/*
 * leaky_server RATE SECONDS — the demo: a server that answers RATE requests a second for SECONDS (0: until SIGTERM).
 *
 * The requests come from a generator of its own; each is parsed, answered from a bounded cache or from a "backend",
 * and logged. One request in 20 is a login, and the session that a login makes is never freed: session_create
 * leaks 512 to 2047 bytes each time. All else that it allocates is freed, or bounded: the cache has filled after
 * two seconds or 1024 requests for different pages, whichever is later, and then replaces its oldest entries.
 */
#include <signal.h>

#include "workload.h"

enum { cache_limit = 1024, header_limit = 12, page_kinds = 4000, login_share = 20 };

struct header {
	struct header *next;
	char *name;
	char *value;
};

struct request {
	char *path;
	struct header *headers;
	uint64_t page;
	int is_login;
};

struct entry {
	struct entry *next; /* of its bucket */
	struct entry *newer, *older;
	uint64_t page;
	char *body;
	size_t length;
};

struct session {
	uint64_t user, created;
	struct session *previous;
	char data[];
};

static volatile sig_atomic_t is_stopping;
static struct rng rng;
static struct entry *buckets[cache_limit], *newest, *oldest;
static unsigned cached;
static struct session *last_session;
static uint64_t bytes_sent, sessions;

static void stop(int signal)
{
	(void)signal;
	is_stopping = 1;
}

static void *must(void *pointer)
{
	if (pointer == NULL)
		_exit(3);
	return pointer;
}

FRAME static char *copy_text(const char *text)
{
	size_t length = strlen(text) + 1;

	return memcpy(must(malloc(length)), text, length);
}

FRAME static struct header *parse_headers(unsigned count)
{
	struct header *first = NULL;
	char text[64];

	for (unsigned i = 0; i < count; i++) {
		struct header *header = must(malloc(sizeof(*header)));

		snprintf(text, sizeof(text), "X-Header-%u", i);
		header->name = copy_text(text);
		snprintf(text, sizeof(text), "%016lx", rng_next(&rng));
		header->value = copy_text(text);
		header->next = first;
		first = header;
	}
	return first;
}

FRAME static struct request *read_request(void)
{
	struct request *request = must(malloc(sizeof(*request)));
	char text[64];

	request->page = rng_below(&rng, page_kinds);
	request->is_login = rng_below(&rng, login_share) == 0;
	snprintf(text, sizeof(text), request->is_login ? "/login?user=%lu" : "/pages/%lu.html", request->page);
	request->path = copy_text(text);
	request->headers = parse_headers(3 + (unsigned)rng_below(&rng, header_limit - 3));
	return request;
}

FRAME static void request_free(struct request *request)
{
	while (request->headers != NULL) {
		struct header *next = request->headers->next;

		free(request->headers->name);
		free(request->headers->value);
		free(request->headers);
		request->headers = next;
	}
	free(request->path);
	free(request);
}

static void unlink_age(struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &newest) = entry->older;
	*(entry->older ? &entry->older->newer : &oldest) = entry->newer;
}

static void link_newest(struct entry *entry)
{
	entry->newer = NULL;
	entry->older = newest;
	*(newest ? &newest->newer : &oldest) = entry;
	newest = entry;
}

FRAME static void cache_evict(void)
{
	struct entry *entry = oldest;
	struct entry **link = &buckets[entry->page % cache_limit];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	unlink_age(entry);
	cached--;
	free(entry->body);
	free(entry);
}

FRAME static char *render_page(uint64_t page, size_t *length)
{
	/* A draft that grows, as a template engine's does; the page is cut to size. */
	size_t capacity = 256, used = 0, wanted = 400 + page * 7 % 3000;
	char *draft = must(malloc(capacity));

	while (used < wanted) {
		if (used + 32 > capacity) {
			capacity *= 2;
			draft = must(realloc(draft, capacity));
		}
		used += (size_t)snprintf(draft + used, 32, "<p>%lu.%zu</p>", page, used);
	}
	*length = used;
	return must(realloc(draft, used + 1));
}

FRAME static struct entry *cache_insert(uint64_t page)
{
	struct entry *entry = must(calloc(1, sizeof(*entry)));

	entry->page = page;
	entry->body = render_page(page, &entry->length);
	if (cached == cache_limit)
		cache_evict();
	cached++;
	entry->next = buckets[page % cache_limit];
	buckets[page % cache_limit] = entry;
	link_newest(entry);
	return entry;
}

FRAME static struct entry *cache_lookup(uint64_t page)
{
	struct entry *entry = buckets[page % cache_limit];

	while (entry != NULL && entry->page != page)
		entry = entry->next;
	if (entry == NULL)
		return cache_insert(page);
	unlink_age(entry);
	link_newest(entry);
	return entry;
}

FRAME static void send_response(const char *body, size_t length)
{
	char *buffer = must(malloc(length + 128));
	int head = snprintf(buffer, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);

	memcpy(buffer + head, body, length);
	bytes_sent += (size_t)head + length;
	free(buffer);
}

FRAME static struct session *session_create(uint64_t user)
{
	size_t size = 512 + rng_below(&rng, 1536);
	struct session *session = must(malloc(size));

	session->user = user;
	session->created = nanoseconds();
	return session;
}

/* The leak: each session is remembered by the next one, and nobody ever ends one. */
FRAME static void handle_login(struct request *request)
{
	struct session *session = session_create(request->page);
	char body[64];
	int length = snprintf(body, sizeof(body), "welcome %lu", session->user);

	session->previous = last_session;
	last_session = session;
	sessions++;
	send_response(body, (size_t)length);
}

FRAME static void handle_page(struct request *request)
{
	struct entry *entry = cache_lookup(request->page);

	send_response(entry->body, entry->length);
}

FRAME static void write_log(const struct request *request)
{
	char *line = must(malloc(256));

	snprintf(line, 256, "%s %lu", request->path, bytes_sent);
	free(line);
}

FRAME static void handle_request(void)
{
	struct request *request = read_request();

	if (request->is_login)
		handle_login(request);
	else
		handle_page(request);
	write_log(request);
	request_free(request);
}

/* As a server that starts: what is often asked for is in the cache from the beginning. */
FRAME static void warm_cache(uint64_t elapsed)
{
	static uint64_t warmed;
	uint64_t wanted = elapsed >= 2000000000u ? cache_limit : elapsed * cache_limit / 2000000000u;

	for (; warmed < wanted && cached < cache_limit; warmed++)
		cache_lookup(warmed * page_kinds / cache_limit);
}

FRAME static void serve(uint64_t rate, uint64_t seconds)
{
	uint64_t begin = nanoseconds(), served = 0;

	while (!is_stopping) {
		uint64_t elapsed = nanoseconds() - begin, due = (uint64_t)((double)elapsed / 1e9 * (double)rate);

		if (seconds > 0 && elapsed >= seconds * 1000000000u)
			break;
		warm_cache(elapsed);
		/* After a stop in a debugger or a slow tracer, no burst of what was missed. */
		if (due > served + rate)
			served = due - rate;
		for (; served < due && !is_stopping; served++)
			handle_request();
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	say("served %lu requests, %lu sessions, %lu bytes\n", served, sessions, bytes_sent);
}

int main(int argc, char **argv)
{
	uint64_t rate = number(argc, argv, 1, 1000), seconds = number(argc, argv, 2, 0);
	struct sigaction action = { .sa_handler = stop };

	if (rate < 1 || rate > 10000000 || seconds > 1000000000) {
		say("leaky_server: RATE must be 1 to 10000000, SECONDS at most 1000000000\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	rng_seed(&rng, 7);
	serve(rate, seconds);
	return 0;
}
