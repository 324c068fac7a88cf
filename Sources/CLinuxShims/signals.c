#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int termination[] = {SIGINT, SIGTERM, SIGHUP};
static int pipe_ends[2] = {-1, -1};

static void note_signal(int signal)
{
	int saved = errno;
	ssize_t written = write(pipe_ends[1], "", 1);

	(void)written;
	(void)signal;
	errno = saved;
}

static void set_handler(void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART;
	for (size_t i = 0; i < sizeof(termination) / sizeof(termination[0]); i++)
		sigaction(termination[i], &action, NULL);
}

int clinux_catch_termination(void)
{
	if (pipe_ends[0] < 0 && pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	set_handler(note_signal);
	return pipe_ends[0];
}

void clinux_release_termination(void)
{
	set_handler(SIG_DFL);
}
