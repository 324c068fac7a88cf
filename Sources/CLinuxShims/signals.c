#include "CLinuxShims.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

static sigset_t termination(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

void clinux_block_termination(int block)
{
	sigset_t set = termination();

	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int clinux_termination_descriptor(void)
{
	sigset_t set = termination();
	int descriptor = signalfd(-1, &set, SFD_CLOEXEC);

	return descriptor < 0 ? -errno : descriptor;
}
