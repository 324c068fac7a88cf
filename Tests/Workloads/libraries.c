/*
 * libraries FOLDER COUNT EXTRA — loads FOLDER/0.so to FOLDER/COUNT-1.so and makes EXTRA separate mappings of executable
 * memory before READY; after a line the function plugin_allocate of each library makes its 25 objects. "DONE", line,
 * then FOLDER/late.so is loaded: "LOADED", line, its 25 objects, "DONE", line, BYE.
 */
#include <dlfcn.h>
#include <sys/mman.h>

#include "workload.h"

enum { PAGE = 4096, most = 4096 };

static void (*functions[most])(void);

static void (*function_of(const char *folder, const char *name))(void)
{
	char path[4096];
	void *library;

	snprintf(path, sizeof(path), "%s/%s.so", folder, name);
	library = dlopen(path, RTLD_NOW);
	return library == NULL ? NULL : (void (*)(void))dlsym(library, "plugin_allocate");
}

FRAME static void site_libraries(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		functions[i]();
}

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 2, 1), extra = number(argc, argv, 3, 0);

	if (argc < 2 || count > most)
		return 2;
	for (uint64_t i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%lu", (unsigned long)i);
		functions[i] = function_of(argv[1], name);
		if (functions[i] == NULL) {
			say("FAILED %s\n", dlerror());
			return 3;
		}
	}
	for (uint64_t i = 0; i < extra; i++) {
		/* Two pages, and one of them for nothing: or the kernel would make one mapping of all. */
		char *place = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (place == MAP_FAILED || mprotect(place, PAGE, PROT_READ | PROT_EXEC) != 0)
			return 4;
	}
	ready();
	site_libraries(count);
	say("DONE\n");
	await_line();
	functions[0] = function_of(argv[1], "late");
	say(functions[0] == NULL ? "NONE\n" : "LOADED\n");
	await_line();
	if (functions[0] != NULL)
		site_libraries(1);
	say("DONE\n");
	return bye();
}
