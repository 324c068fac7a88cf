/*
 * grower SIZE RATE [MOST_MIB] — keeps RATE new objects of SIZE bytes a second, all from one place, until they are
 * MOST_MIB (2048 unless given); then it rests.
 *
 * READY at once, and no line is awaited: it grows until it is killed.
 */
#include "workload.h"

#include <string.h>

FRAME static void *grow_here(size_t size)
{
	return malloc(size);
}

int main(int argc, char **argv)
{
	uint64_t size = number(argc, argv, 1, 4096), rate = number(argc, argv, 2, 1000);
	uint64_t most = number(argc, argv, 3, 2048) << 20, kept = 0;

	say("READY\n");
	for (;;) {
		for (uint64_t i = 0; i < rate / 50 && kept < most; i++) {
			void *object = grow_here(size);

			if (object == NULL)
				return 3;
			/* Memory that nobody has written to is not the process's yet. */
			memset(object, 1, size);
			kept += size;
		}
		usleep(20000);
	}
}
