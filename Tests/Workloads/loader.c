/*
 * loader MODE ROUNDS LIBRARY... — libraries that come and go. Each makes one object in its constructor and two when it is
 * called. "loop": loads the next library, calls it, unloads it, ROUNDS times; "keep": the same without unloading.
 * READY, line, "DONE", line, BYE.
 */
#include <dlfcn.h>

#include "workload.h"

FRAME static void load(const char *path, int keep)
{
	void *library = dlopen(path, RTLD_NOW);
	void (*allocate)(int) = library == NULL ? NULL : (void (*)(int))dlsym(library, "module_allocate");

	if (allocate == NULL) {
		say("FAILED %s\n", dlerror());
		_exit(3);
	}
	allocate(2);
	if (!keep)
		dlclose(library);
}

int main(int argc, char **argv)
{
	uint64_t rounds = number(argc, argv, 2, 10);
	int keep;

	if (argc < 4)
		return 2;
	keep = strcmp(argv[1], "keep") == 0;
	ready();
	for (uint64_t round = 0; round < rounds; round++)
		load(argv[3 + round % (uint64_t)(argc - 3)], keep);
	say("DONE\n");
	return bye();
}
