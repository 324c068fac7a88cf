/*
 * reach COUNT [PAD_MIB] — objects of which it is known who holds them, for the search for lost objects.
 *
 * Each way to hold an object has COUNT of them, each kind from a malloc in a function of its own, keep_* where something
 * leads to it and lose_* where nothing does. Addresses of lost objects must not survive by accident: they are made on a
 * thread that has ended by then (its stack was given back), and what the program notes of them is written inverted.
 *
 *   keep_global    in an array in .bss                lose_plain     nobody points to them
 *   keep_data      in an array in .data               lose_self      each points to itself
 *   keep_local     in thread-local storage            lose_ring      in rings of 5 that nothing leads to
 *   keep_stack     in a thread's frames only          lose_list      in one long list without a head
 *   keep_register  in a register of a busy thread     lose_below     below a sleeping thread's stack pointer only
 *   keep_vector    in a vector register of a busy thread
 *   keep_list      in one list with its head in .data lose_child     a forked child still has them, this process not
 *   keep_ring      rings of 5, one of which is held
 *   keep_interior  only an address inside is kept
 *   keep_tagged    with tags in the top bits
 *   keep_mapped    in memory from mmap
 *   keep_shared    in memory shared with a child
 *   keep_kernel    in an epoll instance's data
 *
 * Between READY and DONE it makes them; after DONE it waits with all threads where they were. With PAD_MIB so much
 * more memory, full of numbers that are no pointers, has been touched before READY. Output at DONE, for each kind:
 *   KIND name count
 *   OBJECT name inverted-address size        (only with REACH_LIST=1 in the environment)
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

#include "workload.h"

enum { object_size = 48, ring_length = 5, most = 200000, stack_share = 200 };

struct node {
	struct node *next;
	uint64_t number[5];
};

enum kind {
	keep_global, keep_data, keep_local, keep_stack, keep_register, keep_vector, keep_list, keep_ring, keep_interior,
	keep_tagged, keep_mapped, keep_shared, keep_kernel,
	lose_plain, lose_self, lose_ring, lose_list, lose_below, lose_child, kind_count
};

/* The program's own list: inverted, so that it holds nothing. */
static uint64_t *noted[kind_count];
static uint64_t counts[kind_count], count;

static void note(enum kind kind, const void *object)
{
	noted[kind][counts[kind]++] = ~(uint64_t)(uintptr_t)object;
}

#define MAKER(name) \
	FRAME static struct node *name##_object(void) \
	{ \
		struct node *node = malloc(object_size); \
		if (node == NULL) \
			_exit(3); \
		node->next = NULL; \
		note(name, node); \
		return node; \
	}
MAKER(keep_global) MAKER(keep_data) MAKER(keep_local) MAKER(keep_stack) MAKER(keep_register) MAKER(keep_vector)
MAKER(keep_list) MAKER(keep_ring) MAKER(keep_interior) MAKER(keep_tagged) MAKER(keep_mapped) MAKER(keep_shared)
MAKER(keep_kernel) MAKER(lose_plain) MAKER(lose_self) MAKER(lose_ring) MAKER(lose_list) MAKER(lose_below)
MAKER(lose_child)

#define ROW(name) [name] = #name
static const char *const names[kind_count] = {
	ROW(keep_global), ROW(keep_data), ROW(keep_local), ROW(keep_stack), ROW(keep_register), ROW(keep_vector),
	ROW(keep_list), ROW(keep_ring), ROW(keep_interior), ROW(keep_tagged), ROW(keep_mapped), ROW(keep_shared),
	ROW(keep_kernel), ROW(lose_plain), ROW(lose_self), ROW(lose_ring), ROW(lose_list), ROW(lose_below),
	ROW(lose_child),
};

/* volatile: the compiler leaves out what is only written, and the objects would be lost indeed. */
static struct node *volatile cache[most];
static struct node *volatile initialised[most] = {(struct node *)1};
static struct node *volatile first_of_list = (struct node *)1;
static struct node *volatile rings[most], *volatile interior[most], *volatile tagged[most];
static struct node *volatile *mapped, *volatile *shared;
static pthread_barrier_t made, leave;

/* Rings of five; where `heads` is given, it gets one of each. */
static void make_rings(struct node *(*make)(void), struct node *volatile *heads)
{
	for (uint64_t i = 0; i < count; i += ring_length) {
		struct node *first = make(), *last = first;

		for (int j = 1; j < ring_length; j++) {
			last->next = make();
			last = last->next;
		}
		last->next = first;
		if (heads)
			heads[i / ring_length] = last;
	}
}

static struct node *make_list(struct node *(*make)(void))
{
	struct node *head = NULL;

	for (uint64_t i = 0; i < count; i++) {
		struct node *node = make();

		node->next = head;
		head = node;
	}
	return head;
}

/* Goes away when it is done, and its stack with it: nothing of what it had in hand stays behind. */
static void *make_all(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < count; i++) {
		cache[i] = keep_global_object();
		initialised[i] = keep_data_object();
		interior[i] = (struct node *)((char *)keep_interior_object() + 8 + i % (object_size - 8));
		tagged[i] = (struct node *)((uintptr_t)keep_tagged_object() | (i % 0xfffe + 1) << 48);
		mapped[i] = keep_mapped_object();
		shared[i] = keep_shared_object();
		lose_plain_object();
		struct node *node = lose_self_object();
		node->next = node;
	}
	first_of_list = make_list(keep_list_object);
	make_rings(keep_ring_object, rings);
	make_rings(lose_ring_object, NULL);
	make_list(lose_list_object);
	return NULL;
}

static _Thread_local struct node *volatile local[1000];

static void *hold_in_local(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < count && i < 1000; i++)
		local[i] = keep_local_object();
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&leave);
	return NULL;
}

/* Frames of a recursion hold one each; what lies deeper than where it waits is dead. */
FRAME static void hold_in_frames(uint64_t depth)
{
	struct node *volatile node = keep_stack_object();

	if (depth > 0) {
		hold_in_frames(depth - 1);
	} else {
		pthread_barrier_wait(&made);
		pthread_barrier_wait(&leave);
	}
	(void)node;
}

static void *hold_on_stack(void *unused)
{
	(void)unused;
	hold_in_frames(count < stack_share ? count - 1 : stack_share - 1);
	return NULL;
}

/* Writes addresses far below where the thread will wait, then comes back up. */
FRAME static void leave_below(void)
{
	struct node *volatile nodes[stack_share];

	for (int i = 0; i < stack_share; i++)
		nodes[i] = lose_below_object();
	__asm__ volatile("" : : "r"(nodes) : "memory");
}

FRAME static void leave_deep_below(void)
{
	volatile char room[16384];

	room[0] = 0;
	__asm__ volatile("" : : "r"(room) : "memory");
	leave_below();
}

static void *hold_nothing(void *unused)
{
	(void)unused;
	leave_deep_below();
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&leave);
	return NULL;
}

static volatile int is_leaving;

/* Makes it on another thread, so that no copy is left on the stack of the one that holds it: inverted on the way. */
static void *make_for_register(void *vector)
{
	return (void *)~(uintptr_t)(vector ? keep_vector_object() : keep_register_object());
}

static uint64_t made_elsewhere(void *vector)
{
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, make_for_register, vector) || pthread_join(thread, &result))
		_exit(3);
	return (uint64_t)(uintptr_t)result;
}

static void *hold_in_register(void *unused)
{
	(void)unused;
	uint64_t inverted = made_elsewhere(NULL);

	pthread_barrier_wait(&made);
	__asm__ volatile(
		"notq %0\n"
		"1: pause\n"
		"cmpl $0, %1\n"
		"je 1b\n"
		"notq %0\n"
		: "+r"(inverted) : "m"(is_leaving) : "cc");
	return NULL;
}

static void *hold_in_vector(void *unused)
{
	(void)unused;
	uint64_t inverted = made_elsewhere((void *)1);

	pthread_barrier_wait(&made);
	__asm__ volatile(
		"notq %0\n"
		"movq %0, %%xmm9\n"
		"notq %0\n"
		"1: pause\n"
		"cmpl $0, %1\n"
		"je 1b\n"
		"pxor %%xmm9, %%xmm9\n"
		: "+r"(inverted) : "m"(is_leaving) : "cc", "xmm9");
	return NULL;
}

static pid_t child;

/* The child has copies of pointers that this process then forgets. */
static void *make_child(void *unused)
{
	static struct node *passed[most];

	(void)unused;
	for (uint64_t i = 0; i < count; i++)
		passed[i] = lose_child_object();
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	for (uint64_t i = 0; i < count; i++)
		((struct node *volatile *)passed)[i] = NULL;
	return NULL;
}

static void *make_kernel(void *unused)
{
	int instance = epoll_create1(EPOLL_CLOEXEC);

	(void)unused;
	for (uint64_t i = 0; i < count && i < 100; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = keep_kernel_object()}};

		if (epoll_ctl(instance, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC), &event))
			_exit(3);
	}
	return NULL;
}

static void run_to_its_end(void *(*body)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, NULL) || pthread_join(thread, NULL))
		_exit(3);
}

static void *map(size_t bytes, int flags)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		_exit(3);
	return memory;
}

int main(int argc, char **argv)
{
	void *(*const holders[])(void *) = {hold_in_local, hold_on_stack, hold_nothing, hold_in_register, hold_in_vector};
	enum { holder_count = sizeof(holders) / sizeof(holders[0]) };
	pthread_t threads[holder_count];
	uint64_t pad = number(argc, argv, 2, 0) << 20;

	count = number(argc, argv, 1, 100);
	if (count < ring_length || count > most)
		_exit(2);
	count -= count % ring_length;
	for (int kind = 0; kind < kind_count; kind++)
		noted[kind] = map((count < 1000 ? 1000 : count) * sizeof(noted[kind][0]), MAP_PRIVATE);
	mapped = map(count * sizeof(mapped[0]), MAP_PRIVATE);
	shared = map(count * sizeof(shared[0]), MAP_SHARED);
	/* A reservation that nobody ever touches, as many runtimes have one. */
	map((size_t)64 << 30, MAP_PRIVATE | MAP_NORESERVE);
	if (pad > 0) {
		uint64_t *words = map(pad, MAP_PRIVATE);

		for (uint64_t i = 0; i < pad / 8; i++)
			words[i] = i * 0x9e3779b97f4a7c15u >> 20;
	}
	pthread_barrier_init(&made, NULL, holder_count + 1);
	pthread_barrier_init(&leave, NULL, holder_count - 2 + 1);
	ready();
	run_to_its_end(make_all);
	run_to_its_end(make_child);
	run_to_its_end(make_kernel);
	for (int i = 0; i < holder_count; i++)
		if (pthread_create(&threads[i], NULL, holders[i], NULL))
			_exit(3);
	pthread_barrier_wait(&made);
	for (int kind = 0; kind < kind_count; kind++) {
		say("KIND %s %lu\n", names[kind], counts[kind]);
		for (uint64_t i = 0; getenv("REACH_LIST") && i < counts[kind]; i++)
			say("OBJECT %s %lx %d\n", names[kind], noted[kind][i], object_size);
	}
	say("DONE\n");
	await_line();
	is_leaving = 1;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	say("BYE\n");
	_exit(0);
}
