/*
 * jit N SIZE — writes two functions into memory of its own and names them in its perf map, /tmp/perf-PID.map:
 * "jit outer(int)" calls "jit:*inner page.js:1", which calls malloc(SIZE). N calls after READY and a line, "DONE N",
 * line; then another function in the place of "inner" is named "replaced", N more calls, "DONE N" and line, BYE.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "workload.h"

enum { PAGE = 4096, INNER_AT = 0, OUTER_AT = 256, CODE_BYTES = 64 };

/* push rbp; mov rbp, rsp; mov rdi, ARGUMENT; mov rax, FUNCTION; call rax; pop rbp; ret */
static void write_function(unsigned char *place, uint64_t argument, uint64_t function)
{
	static const unsigned char first[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xbf};
	static const unsigned char second[] = {0x48, 0xb8};
	static const unsigned char third[] = {0xff, 0xd0, 0x5d, 0xc3};

	memcpy(place, first, sizeof(first));
	memcpy(place + 6, &argument, 8);
	memcpy(place + 14, second, sizeof(second));
	memcpy(place + 16, &function, 8);
	memcpy(place + 24, third, sizeof(third));
}

static char map[64];

static void name_function(const unsigned char *place, const char *name)
{
	char line[128];
	int file = open(map, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	int length = snprintf(line, sizeof(line), "%lx %x %s\n", (unsigned long)place, CODE_BYTES, name);

	if (file < 0 || write(file, line, (size_t)length) != length)
		_exit(3);
	close(file);
}

FRAME static void site_jit(void *(*function)(void), uint64_t count)
{
	while (count-- > 0)
		if (function() == NULL)
			_exit(4);
}

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 1, 10), size = number(argc, argv, 2, 100);
	unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (code == MAP_FAILED)
		return 2;
	snprintf(map, sizeof(map), "/tmp/perf-%d.map", (int)getpid());
	unlink(map);
	write_function(code + INNER_AT, size, (uint64_t)(uintptr_t)malloc);
	write_function(code + OUTER_AT, 0, (uint64_t)(uintptr_t)(code + INNER_AT));
	name_function(code + INNER_AT, "jit:*inner page.js:1");
	name_function(code + OUTER_AT, "jit outer(int)");
	ready();
	site_jit((void *(*)(void))(uintptr_t)(code + OUTER_AT), count);
	say("DONE %lu\n", (unsigned long)count);
	await_line();
	name_function(code + INNER_AT, "replaced");
	site_jit((void *(*)(void))(uintptr_t)(code + OUTER_AT), count);
	say("DONE %lu\n", (unsigned long)count);
	bye();
	unlink(map);
	return 0;
}
