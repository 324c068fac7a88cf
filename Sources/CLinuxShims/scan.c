#define _GNU_SOURCE
#include "CLinuxShims.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

int clinux_ptrace_seize_only(int32_t thread)
{
	/* No options: above all not PTRACE_O_EXITKILL, for the target is to outlive us whatever happens. */
	return ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0 ? -errno : 0;
}

int32_t clinux_wait_thread(int32_t thread, int *status)
{
	/* Of this thread's tracees only: nobody else's children are collected here. */
	pid_t found = waitpid(thread, status, __WALL | __WNOTHREAD | WNOHANG);

	return found < 0 ? -errno : found;
}

int64_t clinux_ptrace_registers(int32_t thread, uint64_t *words, size_t capacity, uint64_t *stack, uint64_t *local)
{
	/* General registers are words on every 64-bit machine. */
	struct iovec into = {words, capacity * sizeof(words[0])};

	*stack = *local = 0;
	if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &into) < 0)
		return -errno;
#if defined(__x86_64__)
	if (into.iov_len >= sizeof(struct user_regs_struct)) {
		*stack = words[offsetof(struct user_regs_struct, rsp) / 8];
		*local = words[offsetof(struct user_regs_struct, fs_base) / 8];
	}
#elif defined(__aarch64__)
	struct iovec tls = {local, sizeof(*local)};

	if (into.iov_len >= 32 * sizeof(words[0]))
		*stack = words[31];
	ptrace(PTRACE_GETREGSET, thread, (void *)NT_ARM_TLS, &tls);
#endif
	return (int64_t)(into.iov_len / sizeof(words[0]));
}

int64_t clinux_ptrace_vectors(int32_t thread, uint64_t *words, size_t capacity)
{
	struct iovec into = {words, capacity * sizeof(words[0])};

#if defined(__x86_64__)
	if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_X86_XSTATE, &into) < 0)
		return -errno;
#else
	if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRFPREG, &into) < 0)
		return -errno;
#endif
	return (int64_t)(into.iov_len / sizeof(words[0]));
}

int64_t clinux_read_memory(int32_t pid, uint64_t address, void *into, size_t length)
{
	struct iovec local = {into, length};
	struct iovec remote = {(void *)(uintptr_t)address, length};
	ssize_t count = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return count < 0 ? -errno : count;
}

/* PAGEMAP_SCAN (Linux 6.7); older headers do not have it. */
struct scan_range {
	uint64_t start, end, categories;
};

struct scan_request {
	uint64_t size, flags, start, end, walk_end, vector, vector_length, most_pages;
	uint64_t inverted, all_of, any_of, wanted;
};

enum {
	page_is_file = 1 << 2,
	page_is_present = 1 << 3,
	page_is_swapped = 1 << 4,
	page_is_zero = 1 << 5,
};

int64_t clinux_pages_in_use(
	int pagemap, uint64_t start, uint64_t end, int own_only, uint64_t *ranges, size_t capacity, uint64_t *reached)
{
	struct scan_range found[256];
	uint64_t not_in = own_only ? page_is_zero | page_is_file : page_is_zero;
	struct scan_request request = {
		.size = sizeof(request),
		.start = start,
		.end = end,
		.vector = (uintptr_t)found,
		.vector_length = capacity < 256 ? capacity : 256,
		/* Neither the zero page, which nobody has written to, nor, if asked, a file's own. */
		.inverted = not_in,
		.all_of = not_in,
		.any_of = page_is_present | page_is_swapped,
		.wanted = page_is_zero,
	};
	int count = ioctl(pagemap, _IOWR('f', 16, struct scan_request), &request);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		ranges[2 * i] = found[i].start;
		ranges[2 * i + 1] = found[i].end;
	}
	*reached = request.walk_end;
	return count;
}

#ifdef __x86_64__
/* System calls that the kernel does not restart by itself after a stop (signal(7)), though they have done nothing yet:
 * epoll_wait and its kin, semop, sigtimedwait, sockets with a timeout, completions of asynchronous requests. */
static int can_begin_anew(uint64_t number)
{
	switch (number) {
	case 0: case 1: case 43: case 44: case 45: case 46: case 47: /* read, write, accept, send*, recv* */
	case 65: case 128: case 208: case 220: case 232: case 281: /* semop, sigtimedwait, getevents, epoll_wait */
	case 288: case 333: case 426: case 441: /* accept4, io_pgetevents, io_uring_enter, epoll_pwait2 */
		return 1;
	default:
		return 0;
	}
}
#endif

int clinux_ptrace_was_interrupted(int32_t thread)
{
#ifdef __x86_64__
	struct user_regs_struct registers;
	struct iovec into = {&registers, sizeof(registers)};

	return ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &into) == 0 &&
		(int64_t)registers.rax == -EINTR && can_begin_anew(registers.orig_rax);
#else
	(void)thread;
	return 0;
#endif
}

int clinux_ptrace_begin_anew(int32_t thread)
{
#ifdef __x86_64__
	struct user_regs_struct registers;
	struct iovec both = {&registers, sizeof(registers)};

	if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &both) < 0)
		return -errno;
	/* What the kernel does itself for those that it restarts: back to the two bytes of `syscall`. */
	registers.rax = registers.orig_rax;
	registers.rip -= 2;
	return ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &both) < 0 ? -errno : 0;
#else
	(void)thread;
	return -ENOSYS;
#endif
}
