/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * empty PID LIBRARY OFFSET...: one uprobe_multi link (Linux 6.6) with a program that does nothing, at these offsets in
 * the file, for one process. Prints "READY"; a line or the end of standard input takes the probes away, and "DONE"
 * follows. The object is read from the file next to this program, NAME.bpf.o. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most_sites = 32, trace_uprobe_multi = 48 };

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi. libbpf 1.1 does not know it. */
struct multi_attr {
	uint32_t program, target, attach_type, link_flags;
	uint64_t path, offsets, reference_counters, cookies;
	uint32_t count, flags, pid, padding;
};

int main(int argc, char **argv)
{
	uint64_t offsets[most_sites];
	struct multi_attr attr;
	char path[PATH_MAX];
	ssize_t length;
	long link;

	if (argc < 4 || argc - 3 > most_sites) {
		fprintf(stderr, "usage: empty PID LIBRARY OFFSET...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(".bpf.o"));
	if (length < 0)
		return 1;
	strcpy(path + length, ".bpf.o");

	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program = object ? bpf_object__find_program_by_name(object, "empty") : NULL;

	if (!program)
		return 1;
	bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)trace_uprobe_multi);
	if (bpf_object__load(object)) {
		fprintf(stderr, "empty: %s does not load: %s\n", path, strerror(errno));
		return 1;
	}
	memset(&attr, 0, sizeof(attr));
	for (int i = 3; i < argc; i++)
		offsets[i - 3] = strtoull(argv[i], NULL, 0);
	attr.program = (uint32_t)bpf_program__fd(program);
	attr.attach_type = trace_uprobe_multi;
	attr.path = (uint64_t)(uintptr_t)argv[2];
	attr.offsets = (uint64_t)(uintptr_t)offsets;
	attr.count = (uint32_t)(argc - 3);
	attr.pid = (uint32_t)atoi(argv[1]);
	link = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (link < 0) {
		fprintf(stderr, "empty: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	printf("READY\n");
	(void)getchar();
	close((int)link);
	printf("DONE\n");
	return 0;
}
