/*
 * The protocol that the workloads share: a program prints "READY", waits for a line, works, prints "DONE" and its
 * truth, waits for a line, prints "BYE". A profiler can thus attach before the work and look at a quiet process
 * after it. Nothing here allocates: a workload's own bookkeeping must not appear among what it counts.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Not inlined, not cloned, not merged: the function is a frame of its own under its own name. */
#define FRAME __attribute__((noipa))

static inline void write_all(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t count = write(STDOUT_FILENO, text, length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			_exit(1); /* nobody listens any more */
		text += count;
		length -= (size_t)count;
	}
}

/* snprintf into the stack, then write(2): stdio's buffer would be allocated at its first use. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length > 0)
		write_all(line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

/* Another name of the same, as some workloads have it. */
#define NOINLINE FRAME

/* Reads one line, whatever it says; 0 at the end of the input. */
static inline int await_line(void)
{
	char byte;

	for (;;) {
		ssize_t count = read(STDIN_FILENO, &byte, 1);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return 0;
		if (byte == '\n')
			return 1;
	}
}

/* The same for programs that have nothing left to do without their driver. */
static inline void wait_for_line(void)
{
	if (!await_line())
		_exit(1);
}

/* READY, then the line that starts the work. A driver that went away ends the program. */
static inline void ready(void)
{
	write_all("READY\n", 6);
	if (!await_line())
		_exit(1);
}

/* The last act: waits, then says so. */
static inline int bye(void)
{
	await_line();
	write_all("BYE\n", 4);
	return 0;
}

/* Argument `index` as a number, or `otherwise` where there is none; a wrong one ends the program with status 2. */
static inline uint64_t number(int argc, char **argv, int index, uint64_t otherwise)
{
	char *end;
	unsigned long long value;

	if (index >= argc)
		return otherwise;
	errno = 0;
	value = strtoull(argv[index], &end, 10);
	if (errno != 0 || end == argv[index] || *end != 0 || argv[index][0] == '-') {
		say("%s: argument %d is not a number: %s\n", argv[0], index, argv[index]);
		_exit(2);
	}
	return value;
}

static inline uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* xorshift64*: the same sequence for the same seed, everywhere. */
struct rng {
	uint64_t state;
};

static inline void rng_seed(struct rng *rng, uint64_t seed)
{
	rng->state = (seed + 1) * 0x9e3779b97f4a7c15u;
	if (rng->state == 0)
		rng->state = 1;
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1du;
}

static inline uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	return limit == 0 ? 0 : (rng_next(rng) >> 11) % limit;
}

/* A size whose logarithm is evenly spread over 1 … 2^bits. */
static inline size_t rng_size(struct rng *rng, unsigned bits)
{
	size_t top = (size_t)1 << rng_below(rng, bits);

	return top + rng_below(rng, top);
}

#endif
