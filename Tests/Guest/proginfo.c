/*
 * proginfo PID — the BPF programs that a process holds, one a line:
 *
 * PROGRAM name verified_insns jited_bytes
 *
 * verified_insns is the number of instructions that the verifier walked through, over all paths (Linux 5.16).
 * Static and without libbpf, so that it runs in a guest as it is.
 */
#include <dirent.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most = 256 };

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* The id of the program that this file of /proc/PID/fdinfo is about; 0 if it is about something else. A link tells
 * of its program's id, too, but not of what the verifier made of it. */
static unsigned program_id(const char *path)
{
	char line[256];
	unsigned id = 0, value;
	int is_program = 0;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "prog_id: %u", &value) == 1)
			id = value;
		if (strncmp(line, "prog_jited:", 11) == 0)
			is_program = 1;
	}
	fclose(file);
	return is_program ? id : 0;
}

static int show(unsigned id)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = { .prog_id = id };
	int descriptor = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

	if (descriptor < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)descriptor;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0)
		return -1;
	printf("PROGRAM %s %u %u\n", info.name, info.verified_insns, info.jited_prog_len);
	close(descriptor);
	return 0;
}

int main(int argc, char **argv)
{
	static unsigned seen[most];
	char path[512];
	int count = 0;
	struct dirent *entry;
	DIR *directory;

	if (argc != 2)
		return 2;
	snprintf(path, sizeof(path), "/proc/%s/fdinfo", argv[1]);
	directory = opendir(path);
	if (directory == NULL) {
		perror(path);
		return 1;
	}
	while ((entry = readdir(directory)) != NULL) {
		unsigned id, index = 0;

		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", argv[1], entry->d_name);
		id = program_id(path);
		while (index < (unsigned)count && seen[index] != id)
			index++;
		if (id == 0 || index < (unsigned)count || count == most)
			continue;
		seen[count++] = id;
		if (show(id) < 0) {
			perror("bpf");
			return 1;
		}
	}
	return count == 0;
}
