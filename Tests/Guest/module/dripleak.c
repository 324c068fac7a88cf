// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel module that leaks from functions of its own, in known numbers, beside functions that free all they
 * allocate, and counts both. It does nothing until told, so that a profiler can attach before the work:
 *
 *   echo run > /proc/dripleak       one round of everything below
 *   echo release > /proc/dripleak   frees what the rounds left
 *   echo forget > /proc/dripleak    loses it for good, as far as it is kmalloc's: the module can go, and it stays
 *   echo bench N > /proc/dripleak   N times kmalloc and kfree, timed: BENCH N nanoseconds
 *   cat /proc/dripleak              the truth, in requested bytes, one line a function as Tests/Workloads has it:
 *                                   SITE function allocs frees allocated freed outstanding_count outstanding_bytes
 *
 * Objects are counted at the function that allocated them. One that kfree_rcu took counts as freed at once.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

/* Not inlined, not cloned, and not left by a jump: a frame of its own under its own name. */
#define FRAME static noinline __noclone

enum { CACHE_SIZE = 384, BATCH = 20, MOST_KEPT = 8192, BENCH_SIZE = 256, BENCH_PORTION = 1000 };

struct counts {
	u64 allocs, frees, allocated, freed;
};

struct site {
	const char *name;
	void (*once)(struct site *site, unsigned int index);
	unsigned int times; /* a round */
	struct counts counts;
};

struct rcu_object {
	struct rcu_head head;
	char room[200];
};

static void free_slab(void *block);
static void free_cached(void *block);
static void free_pages_of_its_own(void *block);

/* What was leaked, and how it can be given back. */
static struct kept {
	void *block;
	void (*release)(void *block);
	struct site *site;
	size_t size;
} kept[MOST_KEPT];
static unsigned int kept_count;
/* The last bench: pairs, and nanoseconds of all of them. */
static unsigned int bench_pairs;
static u64 benched;
static struct kmem_cache *cache;
static DEFINE_MUTEX(lock);

static void count_alloc(struct site *site, void *block, size_t size)
{
	if (!block)
		return;
	site->counts.allocs++;
	site->counts.allocated += size;
}

static void count_free(struct site *site, void *block, size_t size)
{
	if (!block)
		return;
	site->counts.frees++;
	site->counts.freed += size;
}

static void keep(struct site *site, void *block, size_t size, void (*release)(void *block))
{
	count_alloc(site, block, size);
	if (!block)
		return;
	if (kept_count == MOST_KEPT) {
		release(block);
		count_free(site, block, size);
		return;
	}
	kept[kept_count++] = (struct kept){ .block = block, .release = release, .site = site, .size = size };
}

static void free_slab(void *block) { kfree(block); }
static void free_cached(void *block) { kmem_cache_free(cache, block); }
static void free_pages_of_its_own(void *block) { kvfree(block); }

/* Those that leak. */

FRAME void drip_leak_kmalloc(struct site *site, unsigned int index)
{
	keep(site, kmalloc(512, GFP_KERNEL), 512, free_slab);
}

FRAME void drip_leak_sized(struct site *site, unsigned int index)
{
	size_t size = 100 + index % 400;

	OPTIMIZER_HIDE_VAR(size);
	keep(site, kmalloc(size, GFP_KERNEL), size, free_slab);
}

FRAME void drip_leak_large(struct site *site, unsigned int index)
{
	keep(site, kmalloc(32768, GFP_KERNEL), 32768, free_slab);
}

FRAME void drip_leak_atomic(struct site *site, unsigned int index)
{
	size_t size = 48;

	OPTIMIZER_HIDE_VAR(size);
	keep(site, kzalloc(size, GFP_ATOMIC), 48, free_slab);
}

FRAME void drip_leak_node(struct site *site, unsigned int index)
{
	keep(site, kmalloc_node(96, GFP_KERNEL, 0), 96, free_slab);
}

FRAME void drip_leak_memdup(struct site *site, unsigned int index)
{
	static const char text[20] = "as long as this text";

	keep(site, kmemdup(text, sizeof(text), GFP_KERNEL), sizeof(text), free_slab);
}

/* Two allocations and one free each: a krealloc that cannot stay where it is moves. */
FRAME void drip_leak_krealloc(struct site *site, unsigned int index)
{
	void *block = kmalloc(64, GFP_KERNEL), *grown;

	count_alloc(site, block, 64);
	if (!block)
		return;
	grown = krealloc(block, 700, GFP_KERNEL);
	if (!grown)
		kfree(block);
	count_free(site, block, 64);
	keep(site, grown, 700, free_slab);
}

FRAME void drip_leak_cache(struct site *site, unsigned int index)
{
	keep(site, kmem_cache_alloc(cache, GFP_KERNEL), CACHE_SIZE, free_cached);
}

FRAME void drip_leak_bulk(struct site *site, unsigned int index)
{
	void *blocks[BATCH];
	int count = kmem_cache_alloc_bulk(cache, GFP_KERNEL, BATCH, blocks), i;

	for (i = 0; i < count; i++)
		keep(site, blocks[i], CACHE_SIZE, free_cached);
}

FRAME void drip_leak_vmalloc(struct site *site, unsigned int index)
{
	keep(site, vmalloc(3 * PAGE_SIZE), 3 * PAGE_SIZE, free_pages_of_its_own);
}

/* Too large for the slab allocator: it becomes vmalloc's. */
FRAME void drip_leak_kvmalloc(struct site *site, unsigned int index)
{
	keep(site, kvmalloc(8 << 20, GFP_KERNEL), 8 << 20, free_pages_of_its_own);
}

/* Those that do not. */

FRAME void drip_ok_kfree(struct site *site, unsigned int index)
{
	size_t size = 32 + index % 900;
	void *block;

	OPTIMIZER_HIDE_VAR(size);
	block = kmalloc(size, GFP_KERNEL);
	count_alloc(site, block, size);
	count_free(site, block, size);
	kfree(block);
	barrier();
}

FRAME void drip_ok_cache(struct site *site, unsigned int index)
{
	void *block = kmem_cache_alloc(cache, GFP_KERNEL);

	if (!block)
		return;
	count_alloc(site, block, CACHE_SIZE);
	count_free(site, block, CACHE_SIZE);
	kmem_cache_free(cache, block);
	barrier();
}

FRAME void drip_ok_rcu(struct site *site, unsigned int index)
{
	struct rcu_object *object = kmalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return;
	count_alloc(site, object, sizeof(*object));
	count_free(site, object, sizeof(*object));
	kfree_rcu(object, head);
	barrier();
}

FRAME void drip_ok_bulk(struct site *site, unsigned int index)
{
	void *blocks[BATCH];
	int count = kmem_cache_alloc_bulk(cache, GFP_KERNEL, BATCH, blocks), i;

	for (i = 0; i < count; i++) {
		count_alloc(site, blocks[i], CACHE_SIZE);
		count_free(site, blocks[i], CACHE_SIZE);
	}
	if (count > 0)
		kmem_cache_free_bulk(cache, count, blocks);
	barrier();
}

FRAME void drip_ok_vmalloc(struct site *site, unsigned int index)
{
	void *block = vmalloc(2 * PAGE_SIZE);

	count_alloc(site, block, 2 * PAGE_SIZE);
	count_free(site, block, 2 * PAGE_SIZE);
	vfree(block);
	barrier();
}

FRAME void drip_ok_kvmalloc(struct site *site, unsigned int index)
{
	size_t size = index % 2 ? 1000 : 8 << 20;
	void *block;

	OPTIMIZER_HIDE_VAR(size);
	block = kvmalloc(size, GFP_KERNEL);
	count_alloc(site, block, size);
	count_free(site, block, size);
	kvfree(block);
	barrier();
}

#define SITE(function, number) { .name = #function, .once = function, .times = number }

static struct site sites[] = {
	SITE(drip_leak_kmalloc, 1000), SITE(drip_leak_sized, 300), SITE(drip_leak_large, 20),
	SITE(drip_leak_atomic, 25), SITE(drip_leak_node, 50), SITE(drip_leak_memdup, 40),
	SITE(drip_leak_krealloc, 30), SITE(drip_leak_cache, 200), SITE(drip_leak_bulk, 5),
	SITE(drip_leak_vmalloc, 6), SITE(drip_leak_kvmalloc, 3), SITE(drip_ok_kfree, 5000),
	SITE(drip_ok_cache, 5000), SITE(drip_ok_rcu, 2000), SITE(drip_ok_bulk, 100), SITE(drip_ok_vmalloc, 20),
	SITE(drip_ok_kvmalloc, 10),
};

static void run_round(void)
{
	size_t which;
	unsigned int index;

	for (which = 0; which < ARRAY_SIZE(sites); which++) {
		for (index = 0; index < sites[which].times; index++) {
			sites[which].once(&sites[which], index);
			cond_resched();
		}
	}
}

static void release_all(void)
{
	while (kept_count > 0) {
		struct kept *last = &kept[--kept_count];

		count_free(last->site, last->block, last->size);
		last->release(last->block);
	}
}

/* What kmalloc gave is never given back, whatever becomes of the module. */
static void forget_slab(void)
{
	unsigned int from, to = 0;

	for (from = 0; from < kept_count; from++)
		if (kept[from].release != free_slab)
			kept[to++] = kept[from];
	/* No pointer to it either, for those who look for lost objects. */
	memset(&kept[to], 0, (kept_count - to) * sizeof(kept[0]));
	kept_count = to;
}

/* One pair at a time, with nothing but the loop around it. Not preempted, so that nothing else is timed but what
 * interrupts do; in portions, for a CPU must not be kept long. */
FRAME u64 drip_bench(unsigned int pairs)
{
	unsigned int index;
	u64 start;

	preempt_disable();
	start = ktime_get_ns();
	for (index = 0; index < pairs; index++) {
		void *block = kmalloc(BENCH_SIZE, GFP_NOWAIT);

		OPTIMIZER_HIDE_VAR(block);
		kfree(block);
	}
	start = ktime_get_ns() - start;
	preempt_enable();
	return start;
}

static void bench(unsigned int pairs)
{
	unsigned int left = pairs;

	benched = 0;
	while (left > 0) {
		unsigned int portion = min_t(unsigned int, left, BENCH_PORTION);

		benched += drip_bench(portion);
		left -= portion;
		cond_resched();
	}
	bench_pairs = pairs;
}

static int show(struct seq_file *file, void *unused)
{
	struct counts total = {};
	size_t which;

	mutex_lock(&lock);
	for (which = 0; which < ARRAY_SIZE(sites); which++) {
		struct counts *c = &sites[which].counts;

		seq_printf(file, "SITE %s %llu %llu %llu %llu %llu %llu\n", sites[which].name, c->allocs, c->frees,
			   c->allocated, c->freed, c->allocs - c->frees, c->allocated - c->freed);
		total.allocs += c->allocs;
		total.frees += c->frees;
		total.allocated += c->allocated;
		total.freed += c->freed;
	}
	seq_printf(file, "TOTAL %llu %llu %llu %llu %llu %llu\n", total.allocs, total.frees, total.allocated,
		   total.freed, total.allocs - total.frees, total.allocated - total.freed);
	if (bench_pairs > 0)
		seq_printf(file, "BENCH %u %llu\n", bench_pairs, benched);
	mutex_unlock(&lock);
	return 0;
}

static int open_file(struct inode *inode, struct file *file)
{
	return single_open(file, show, NULL);
}

static ssize_t write_file(struct file *file, const char __user *from, size_t length, loff_t *position)
{
	char word[32] = {};
	ssize_t result = length;
	unsigned int pairs;

	if (length >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, from, length))
		return -EFAULT;
	mutex_lock(&lock);
	if (sysfs_streq(word, "run"))
		run_round();
	else if (sysfs_streq(word, "release"))
		release_all();
	else if (sysfs_streq(word, "forget"))
		forget_slab();
	else if (sscanf(word, "bench %u", &pairs) == 1 && pairs > 0)
		bench(pairs);
	else
		result = -EINVAL;
	mutex_unlock(&lock);
	return result;
}

static const struct proc_ops operations = {
	.proc_open = open_file,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = write_file,
};

static int __init drip_init(void)
{
	cache = kmem_cache_create("dripleak", CACHE_SIZE, 0, SLAB_HWCACHE_ALIGN, NULL);
	if (!cache)
		return -ENOMEM;
	if (!proc_create("dripleak", 0600, NULL, &operations)) {
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	return 0;
}

static void __exit drip_exit(void)
{
	remove_proc_entry("dripleak", NULL);
	release_all();
	kmem_cache_destroy(cache);
}

module_init(drip_init);
module_exit(drip_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Known leaks for the tests of drip");
