/* exiter MS: after GO allocates for MS milliseconds (at most a second of it matters), then exits. */
#include "workload.h"

static void *volatile sink;

int main(int count, char **arguments)
{
	double span = (count > 1 ? atof(arguments[1]) : 500) / 1000, end;

	say("READY\n");
	wait_for_line();
	end = seconds_now() + (span > 1 ? 1 : span);
	while (seconds_now() < end) {
		sink = malloc(100);
		usleep(1000);
	}
	return 0;
}
