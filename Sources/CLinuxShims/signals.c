#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int termination[] = {SIGINT, SIGTERM, SIGHUP};
static int pipe_ends[2] = {-1, -1};
static volatile sig_atomic_t is_noted;

static void note_signal(int signal)
{
	int saved = errno;
	ssize_t written = write(pipe_ends[1], "", 1);

	(void)written;
	(void)signal;
	is_noted = 1;
	errno = saved;
}

static void set_handler(void (*handler)(int), int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART | flags;
	for (size_t i = 0; i < sizeof(termination) / sizeof(termination[0]); i++)
		sigaction(termination[i], &action, NULL);
}

int clinux_catch_termination(void)
{
	if (pipe_ends[0] < 0 && pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	set_handler(note_signal, 0);
	return pipe_ends[0];
}

void clinux_release_termination(void)
{
	/* Of one that has come, the next kills. Where none has, the first only ends a watch that has just ended. */
	if (is_noted)
		set_handler(SIG_DFL, 0);
	else
		set_handler(note_signal, SA_RESETHAND);
}
