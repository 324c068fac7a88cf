/*
 * dlopener PLUGIN — loads a library, has it make 25 objects of 48 bytes at its function plugin_allocate, unloads it.
 * READY, line, "LOADED", line, "DONE", line, "UNLOADED", line, BYE.
 */
#include <dlfcn.h>

#include "workload.h"

int main(int argc, char **argv)
{
	void (*allocate)(void);
	void *library;

	if (argc < 2)
		return 2;
	ready();
	library = dlopen(argv[1], RTLD_NOW);
	allocate = library == NULL ? NULL : (void (*)(void))dlsym(library, "plugin_allocate");
	if (allocate == NULL) {
		say("FAILED %s\n", dlerror());
		return 3;
	}
	say("LOADED\n");
	await_line();
	allocate();
	say("DONE\n");
	await_line();
	dlclose(library);
	say("UNLOADED\n");
	return bye();
}
