// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The kernel's own allocators: kmalloc, slab caches, vmalloc, and, where asked for, pages and memory of each CPU.
//
// Attaches: one of four backends, and only its programs are loaded. Raw tracepoints (kmem:*), with a twin for each free
//   and function probes for what has no tracepoint; kprobe and kretprobe, or fentry and fexit, of the functions that
//   user space finds in the kernel's BTF (Probes/KernelPlan), with the places of their arguments in the cookie; classic
//   tracepoints.
// Reads: arguments and results, the cache's name and size, the kernel's stack.
// Writes: the live table, sites and their origins, callers, pending calls, the status counters.
// Costs: instructions for a kmalloc and its kfree are measured in docs/benchmarks.md; a stack is nine tenths of them.
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "compat.bpf.h"
#include "losses.bpf.h"
/* A map that allocates would do so inside of the allocator. */
#define OVERFLOW_FLAGS 0
#include "table.bpf.h"
#include "sampling.bpf.h"

/* No libraries come and go here that would change what an address means. */
static __always_inline __u32 linker_changes(__u32 process)
{
	return 0;
}

#include "sites.bpf.h"
#include "scratch.bpf.h"
#include "birth.bpf.h"
#include "kernel_sites.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_kernel_control);
} control SEC(".maps");

/* Thread groups whose allocations count, if any are named. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} groups SEC(".maps");

/* Calls under way, by where their return address stands: no two share that, in whatever context. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIP_KERNEL_PENDING);
	__type(key, __u64);
	__type(value, struct drip_kernel_pending);
} pending SEC(".maps");

const volatile __u32 own_group = 0; /* drip's own, which is never counted */
const volatile __u32 kmem_layout = DRIP_KMEM_61;
const volatile __u32 percpu_has_caller = 1; /* since 5.19 */

static __always_inline struct drip_kernel_control *the_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline bool is_counting(void)
{
	struct drip_kernel_control *c = the_control();

	return c && c->on;
}

/* NULL, what kmalloc(0) returns, and errors. */
static __always_inline bool is_object(__u64 address)
{
	return address > 16 && address < -4095ULL;
}

static __always_inline bool is_group_wanted(void)
{
	__u32 group = bpf_get_current_pid_tgid() >> 32;

	if (group == own_group)
		return false;
	return !groups_on || bpf_map_lookup_elem(&groups, &group);
}

/* Under which an object stands in the table. Not its address: kmemleak scans the table as all of the kernel's memory, and
 * what it finds a pointer to is not lost to it. */
static __always_inline __u64 key_of(__u64 address)
{
	return ~address;
}

/* An object that is handed out again was freed unheard. */
static __always_inline void drop_stale(__u64 address)
{
	struct drip_object stale = {};

	if (!table_remove(key_of(address), &stale))
		return;
	lose(DRIP_LOSS_STALE_ADDRESSES);
	count_free(stale.site, stale.size);
}

/* Addresses of the kernel are distinct, and those of memory of each CPU are small numbers and no less so. */
__noinline int remember(__u64 address, __u64 size, __u32 site)
{
	struct drip_object object = {.size = size, .site = site, .birth = birth_now()};

	drop_stale(address);
	if (table_insert(key_of(address), &object))
		count_alloc(site, size);
	else
		lose(DRIP_LOSS_TABLE_FULL);
	return 0;
}

static __always_inline int born(void *ctx, const struct birth *b)
{
	__u32 site;

	if (!is_object(b->address) || !is_counting())
		return 0;
	if (!is_group_wanted() || !wanted(b->size)) {
		drop_stale(b->address);
		return 0;
	}
	site = site_of_birth(ctx, b);
	if (site == NOT_WANTED) {
		drop_stale(b->address);
		return 0;
	}
	return remember(b->address, b->size, site);
}

/* Not counted as a loss: most of what dies is older than the watch, or not watched. */
static __noinline int unheard(void)
{
	struct drip_kernel_control *c = the_control();

	if (c)
		__sync_fetch_and_add(&c->unheard, 1);
	return 0;
}

/* `twin`: another program has been told of the same free, unless it was interrupted. */
static __always_inline int freed(__u64 address, bool twin)
{
	struct drip_object old = {};

	if (!is_object(address) || !is_counting())
		return 0;
	if (table_remove(key_of(address), &old))
		count_free(old.site, old.size);
	else if (!twin && !groups_on)
		unheard();
	return 0;
}

/* One free of an array's. A function of its own for the verifier. */
__noinline int freed_one(__u64 address)
{
	return freed(address, true);
}

struct array {
	__u64 at;
	__u64 count;
	__u64 size;
	__u32 site;
};

static long free_next(__u32 i, struct array *a)
{
	__u64 object = 0;

	if (i >= a->count || bpf_probe_read_kernel(&object, sizeof(object), (void *)(a->at + i * 8)))
		return 1;
	freed_one(object);
	return 0;
}

static long remember_next(__u32 i, struct array *a)
{
	__u64 object = 0;

	if (i >= a->count || bpf_probe_read_kernel(&object, sizeof(object), (void *)(a->at + i * 8)))
		return 1;
	if (is_object(object))
		remember(object, a->size, a->site);
	return 0;
}

/* More than that of one call goes unheard, and is counted. */
static __always_inline void check_length(const struct array *a)
{
	if (a->count > DRIP_KERNEL_BULK)
		lose(DRIP_LOSS_INFLIGHT_FULL);
}

static __noinline int freed_array(__u64 at, __u64 count)
{
	struct array a = {.at = at, .count = count};

	if (!is_counting())
		return 0;
	check_length(&a);
	bpf_loop(DRIP_KERNEL_BULK, free_next, &a, 0);
	return 0;
}

static __noinline int born_array(__u64 at, __u64 count, __u64 size, __u32 site)
{
	struct array a = {.at = at, .count = count, .size = size, .site = site};

	check_length(&a);
	bpf_loop(DRIP_KERNEL_BULK, remember_next, &a, 0);
	return 0;
}

/* Whatever kvfree_call_rcu was given: the head and the offset of it in the object (to 6.5), or the head and the object.
 * The object goes later, and nobody may touch it any more. */
static __always_inline int freed_later(__u64 head, __u64 second)
{
	return freed(second < 4096 ? head - second : second, false);
}

static __always_inline __u64 object_size(__u64 cache)
{
	return BPF_CORE_READ((struct kmem_cache *)cache, object_size);
}

static __always_inline __u32 slot_size(__u64 cache)
{
	return BPF_CORE_READ((struct kmem_cache *)cache, size);
}

#include "kernel_events.bpf.h"
#include "kernel_functions.bpf.h"
