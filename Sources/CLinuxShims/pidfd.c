#include "CLinuxShims.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int clinux_pidfd_open(int32_t pid)
{
	long descriptor = syscall(SYS_pidfd_open, pid, 0);

	return descriptor < 0 ? -errno : (int)descriptor;
}
