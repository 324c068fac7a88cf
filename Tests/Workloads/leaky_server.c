/* leaky_server [REQUESTS_PER_SECOND [SECONDS]]: a small server loop with a real leak, for the demo. One login in
 * twenty requests creates a session, and nothing ever ends one. Beside it, what a server does: parses into
 * temporary buffers and keeps a cache of fixed size. */
#include "workload.h"

struct session {
	unsigned long user;
	char token[];
};

#define CACHE 512
static char *cache[CACHE];
static unsigned long requests;
static uint64_t state = 88172645463325252ULL;
static struct session *volatile last_session;

NOINLINE struct session *session_create(unsigned long user)
{
	size_t size = sizeof(struct session) + 512 + random_next(&state) % 1536;
	struct session *session = malloc(size);

	if (!session)
		abort();
	session->user = user;
	return session;
}

NOINLINE static void handle_login(unsigned long user)
{
	last_session = session_create(user); /* the one before is forgotten, not freed */
}

NOINLINE static char *render_page(unsigned long key)
{
	char *page = malloc(1024 + key % 1024);

	if (page)
		memset(page, 'x', 1024);
	return page;
}

NOINLINE static char *cache_lookup(unsigned long key)
{
	char **slot = &cache[key % CACHE];

	free(*slot);
	return *slot = render_page(key);
}

NOINLINE static void parse_headers(void)
{
	char *headers[8];

	for (int i = 0; i < 8; i++)
		headers[i] = strdup("Accept: text/html");
	for (int i = 0; i < 8; i++)
		free(headers[i]);
}

NOINLINE static void handle_request(void)
{
	unsigned long key = random_next(&state);

	parse_headers();
	if (requests++ % 20 == 0)
		handle_login(key);
	else
		cache_lookup(key);
}

int main(int count, char **arguments)
{
	double rate = count > 1 ? atof(arguments[1]) : 500;
	double start = seconds_now(), end = start + (count > 2 ? atof(arguments[2]) : 3600);

	for (double now = start; now < end; now = seconds_now()) {
		while ((double)requests < (now - start) * rate)
			handle_request();
		usleep(2000);
	}
	return 0;
}
