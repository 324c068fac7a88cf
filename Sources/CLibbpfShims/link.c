#include "CLibbpfShims.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi; laid out as in Linux 6.6. */
struct uprobe_multi_attr {
	uint32_t program;
	uint32_t target;
	uint32_t attach_type;
	uint32_t link_flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t reference_counters;
	uint64_t cookies;
	uint32_t count;
	uint32_t flags;
	uint32_t pid;
	uint32_t padding;
};
_Static_assert(sizeof(struct uprobe_multi_attr) == 64, "kernel ABI");

int clibbpf_link_create_uprobe_multi(
	int program, int attach_type, const char *path, const uint64_t *offsets, const uint64_t *cookies, const uint64_t *semaphores,
	uint32_t count, uint32_t flags, int32_t pid)
{
	struct uprobe_multi_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.program = (uint32_t)program;
	attr.attach_type = (uint32_t)attach_type;
	attr.path = (uint64_t)(uintptr_t)path;
	attr.offsets = (uint64_t)(uintptr_t)offsets;
	attr.cookies = (uint64_t)(uintptr_t)cookies;
	attr.reference_counters = (uint64_t)(uintptr_t)semaphores;
	attr.count = count;
	attr.flags = flags;
	attr.pid = (uint32_t)pid;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}

int64_t clibbpf_recursion_misses(int program)
{
	struct bpf_prog_info info;
	uint32_t length = sizeof(info);
	int error;

	memset(&info, 0, sizeof(info));
	error = bpf_obj_get_info_by_fd(program, &info, &length);
	return error ? error : (int64_t)info.recursion_misses;
}

int64_t clibbpf_runs(int program)
{
	struct bpf_prog_info info;
	uint32_t length = sizeof(info);
	int error;

	memset(&info, 0, sizeof(info));
	error = bpf_obj_get_info_by_fd(program, &info, &length);
	return error ? error : (int64_t)info.run_cnt;
}

int clibbpf_count_runs(void)
{
	int descriptor = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return descriptor < 0 ? -errno : descriptor;
}
