/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * naive PID LIBRARY: sets the probes of naive.bpf.c on the allocator in LIBRARY, for the process PID.
 * Prints "READY probes=N" when they are in place; a line or the end of standard input takes them away,
 * and "DONE objects=N bytes=N stacks=N" tells what was outstanding. The object is read from the file
 * next to this program, NAME.bpf.o. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct probe {
	const char *function;
	const char *enter;
	const char *leave;
};

static const struct probe probes[] = {
	{"malloc", "enter_size_first", "leave_pointer"},
	{"calloc", "enter_calloc", "leave_pointer"},
	{"realloc", "enter_realloc", "leave_pointer"},
	{"posix_memalign", "enter_posix_memalign", "leave_posix_memalign"},
	{"aligned_alloc", "enter_size_second", "leave_pointer"},
	{"valloc", "enter_size_first", "leave_pointer"},
	{"pvalloc", "enter_size_first", "leave_pointer"},
	{"free", "enter_free", NULL},
};

enum { PROBES = sizeof(probes) / sizeof(probes[0]) };

static struct bpf_link *links[2 * PROBES];
static int link_count;

/* Quiet but on request: a function that the library lacks is expected (jemalloc has no pvalloc). */
static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	return getenv("NAIVE_VERBOSE") ? vfprintf(stderr, format, arguments) : 0;
}

/* 0, or -ENOENT where the library has no such function, or another error. */
static int attach(struct bpf_object *object, const char *program_name, bool at_return, pid_t pid,
		  const char *library, const char *function)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, program_name);
	LIBBPF_OPTS(bpf_uprobe_opts, options, .func_name = function, .retprobe = at_return);

	if (!program)
		return -EINVAL;

	struct bpf_link *link = bpf_program__attach_uprobe_opts(program, pid, library, 0, &options);

	if (!link)
		return -errno;
	links[link_count++] = link;
	return 0;
}

static int attach_all(struct bpf_object *object, pid_t pid, const char *library)
{
	for (int i = 0; i < PROBES; i++) {
		const struct probe *probe = &probes[i];
		/* The return first, so that no entry is ever left without one. */
		int error = probe->leave ? attach(object, probe->leave, true, pid, library, probe->function) : 0;

		if (!error)
			error = attach(object, probe->enter, false, pid, library, probe->function);
		if (error == -ENOENT && strcmp(probe->function, "malloc") && strcmp(probe->function, "free"))
			continue;
		if (error) {
			fprintf(stderr, "naive: %s in %s: %s\n", probe->function, library, strerror(-error));
			return error;
		}
	}
	return 0;
}

static void report(struct bpf_object *object)
{
	struct {
		unsigned long long bytes, objects;
	} total;
	unsigned long long bytes = 0, objects = 0, stacks = 0;
	int map = bpf_object__find_map_fd_by_name(object, "totals");
	unsigned key, *previous = NULL;

	while (map >= 0 && !bpf_map_get_next_key(map, previous, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &total)) {
			bytes += total.bytes;
			objects += total.objects;
			stacks++;
		}
		previous = &key;
	}
	printf("DONE objects=%llu bytes=%llu stacks=%llu\n", objects, bytes, stacks);
}

/* The path of this program with ".bpf.o" appended. */
static bool object_path(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - sizeof(".bpf.o"));

	if (length < 0)
		return false;
	strcpy(path + length, ".bpf.o");
	return true;
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc != 3 || atoi(argv[1]) <= 0) {
		fprintf(stderr, "usage: naive PID LIBRARY\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(print);
	if (!object_path(path, sizeof(path)))
		return 1;

	struct bpf_object *object = bpf_object__open_file(path, NULL);

	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "naive: %s does not load: %s\n", path, strerror(errno));
		return 1;
	}

	int error = attach_all(object, atoi(argv[1]), argv[2]);

	if (!error) {
		printf("READY probes=%d\n", link_count);
		(void)getchar();
	}
	while (link_count > 0)
		bpf_link__destroy(links[--link_count]);
	if (!error)
		report(object);
	bpf_object__close(object);
	return error ? 1 : 0;
}
