/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Tracepoints, raw and classic: they tell of every allocation site, however the compiler has laid out the functions. A
 * raw one's arguments are read as words, for before 6.18 the verifier does not know what a `const void *` is. */
#ifndef DRIP_KERNEL_EVENTS_BPF_H
#define DRIP_KERNEL_EVENTS_BPF_H

/* An argument. In C the compiler would compute which one to read, and the verifier wants to know. */
#define RAW(ctx, n)                                                                                         \
	({                                                                                                  \
		__u64 value_;                                                                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value_) : "r"(ctx), "i"((n) * 8));             \
		value_;                                                                                     \
	})

/* call_site, ptr, bytes_req, bytes_alloc, gfp; in 6.0 with the cache as the third. */
static __always_inline int raw_kmalloc(__u64 *ctx)
{
	struct birth b = {.caller = RAW(ctx, 0), .address = RAW(ctx, 1), .domain = DRIP_KERNEL_SLAB};

	if (kmem_layout == DRIP_KMEM_60) {
		b.size = RAW(ctx, 3);
		b.bucket_bytes = RAW(ctx, 4);
		b.flags = RAW(ctx, 5);
	} else {
		b.size = RAW(ctx, 2);
		b.bucket_bytes = RAW(ctx, 3);
		b.flags = RAW(ctx, 4);
	}
	return born(ctx, &b);
}

static __always_inline int raw_cache_alloc(__u64 *ctx)
{
	struct birth b = {.caller = RAW(ctx, 0), .address = RAW(ctx, 1), .domain = DRIP_KERNEL_SLAB};

	if (kmem_layout == DRIP_KMEM_5) {
		b.size = RAW(ctx, 2);
		b.flags = RAW(ctx, 4);
		return born(ctx, &b);
	}
	b.cache = RAW(ctx, 2);
	b.size = object_size(b.cache);
	b.bucket_bytes = slot_size(b.cache);
	if (kmem_layout == DRIP_KMEM_60)
		b.flags = RAW(ctx, 5);
	else
		b.flags = RAW(ctx, 3);
	return born(ctx, &b);
}

SEC("raw_tp/kmalloc")
int raw_kmalloc_told(__u64 *ctx)
{
	return raw_kmalloc(ctx);
}

SEC("raw_tp/kmem_cache_alloc")
int raw_cache_alloc_told(__u64 *ctx)
{
	return raw_cache_alloc(ctx);
}

/* To 6.0 only. */
SEC("raw_tp/kmalloc_node")
int raw_kmalloc_node_told(__u64 *ctx)
{
	return raw_kmalloc(ctx);
}

SEC("raw_tp/kmem_cache_alloc_node")
int raw_cache_alloc_node_told(__u64 *ctx)
{
	return raw_cache_alloc(ctx);
}

SEC("raw_tp/kfree")
int raw_kfree_told(__u64 *ctx)
{
	return freed(RAW(ctx, 1), false);
}

SEC("raw_tp/kmem_cache_free")
int raw_cache_free_told(__u64 *ctx)
{
	return freed(RAW(ctx, 1), false);
}

/* A program that is interrupted on its CPU by another event of its own loses that event. Its twin is idle then, and hears
 * of it; otherwise it finds nothing left to do. */
SEC("raw_tp/kfree")
int raw_kfree_twin(__u64 *ctx)
{
	return freed(RAW(ctx, 1), true);
}

SEC("raw_tp/kmem_cache_free")
int raw_cache_free_twin(__u64 *ctx)
{
	return freed(RAW(ctx, 1), true);
}

/* page, order, gfp. Nobody says who called. */
SEC("raw_tp/mm_page_alloc")
int raw_pages_told(__u64 *ctx)
{
	struct birth b = {
		.address = RAW(ctx, 0), .size = 4096ULL << (RAW(ctx, 1) & 31), .flags = RAW(ctx, 2), .domain = DRIP_KERNEL_PAGES
	};

	b.bucket_bytes = b.size;
	return born(ctx, &b);
}

SEC("raw_tp/mm_page_free")
int raw_pages_freed(__u64 *ctx)
{
	return freed(RAW(ctx, 0), true);
}

/* call_site, reserved, is_atomic, size, align, base, off, ptr, bytes_alloc, gfp; without the first and the last two
 * before 5.19. */
SEC("raw_tp/percpu_alloc_percpu")
int raw_percpu_told(__u64 *ctx)
{
	struct birth b = {.domain = DRIP_KERNEL_PERCPU};

	if (percpu_has_caller) {
		b.caller = RAW(ctx, 0);
		b.size = RAW(ctx, 3);
		b.address = RAW(ctx, 7);
		b.flags = RAW(ctx, 9);
	} else {
		b.size = RAW(ctx, 2);
		b.address = RAW(ctx, 6);
	}
	return born(ctx, &b);
}

SEC("raw_tp/percpu_free_percpu")
int raw_percpu_freed(__u64 *ctx)
{
	return freed(RAW(ctx, 2), true);
}

SEC("tp/kmem/kmalloc")
int event_kmalloc(struct trace_event_raw_kmalloc *ctx)
{
	struct birth b = {
		.caller = ctx->call_site, .address = (__u64)ctx->ptr, .size = ctx->bytes_req,
		.bucket_bytes = ctx->bytes_alloc, .flags = ctx->gfp_flags, .domain = DRIP_KERNEL_SLAB
	};

	return born(ctx, &b);
}

/* It does not say which cache: without the bytes of a bucket nobody takes it for one of kmalloc's. */
SEC("tp/kmem/kmem_cache_alloc")
int event_cache_alloc(struct trace_event_raw_kmem_cache_alloc *ctx)
{
	struct birth b = {
		.caller = ctx->call_site, .address = (__u64)ctx->ptr, .size = ctx->bytes_req, .flags = ctx->gfp_flags,
		.domain = DRIP_KERNEL_SLAB
	};

	return born(ctx, &b);
}

/* To 6.0 all four have one record. */
#define OLD_EVENT(name, section, bucket)                                                             \
	SEC("tp/kmem/" section)                                                                      \
	int name(struct trace_event_raw_kmem_alloc___old *ctx)                                       \
	{                                                                                            \
		struct birth b = {                                                                   \
			.caller = ctx->call_site, .address = (__u64)ctx->ptr, .size = ctx->bytes_req, \
			.bucket_bytes = bucket, .flags = ctx->gfp_flags,                             \
			.domain = DRIP_KERNEL_SLAB                                                   \
		};                                                                                   \
                                                                                                     \
		return born(ctx, &b);                                                                \
	}

OLD_EVENT(old_event_kmalloc, "kmalloc", ctx->bytes_alloc)
OLD_EVENT(old_event_kmalloc_node, "kmalloc_node", ctx->bytes_alloc)
OLD_EVENT(old_event_cache_alloc, "kmem_cache_alloc", 0)
OLD_EVENT(old_event_cache_alloc_node, "kmem_cache_alloc_node", 0)

SEC("tp/kmem/kfree")
int event_kfree(struct trace_event_raw_kfree *ctx)
{
	return freed((__u64)ctx->ptr, false);
}

SEC("tp/kmem/kmem_cache_free")
int event_cache_free(struct trace_event_raw_kmem_cache_free *ctx)
{
	return freed((__u64)ctx->ptr, false);
}

#endif
