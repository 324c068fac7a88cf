/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The few kernel types that the probes touch, as CO-RE views: libbpf relocates every access against the
 * running kernel's BTF, so only the fields used are spelled out and no vmlinux.h is needed. */
#ifndef DRIP_KERNEL_TYPES_H
#define DRIP_KERNEL_TYPES_H
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, ip, flags, sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
struct pt_regs;
#endif

/* A return that a uretprobe waits for: the kernel has put its own address into the stack. */
struct return_instance {
	unsigned long stack; /* where the return address stands */
	unsigned long orig_ret_vaddr;
	bool chained; /* its original address is the kernel's, too */
	struct return_instance *next;
};

struct uprobe_task {
	struct return_instance *return_instances;
};

struct super_block {
	unsigned int s_dev;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file {
	struct inode *f_inode;
};

struct dentry {
	struct inode *d_inode;
};

struct path {
	struct dentry *dentry;
};

/* What a stacking file system (overlayfs) maps: `file` is the one below, and this is the one that the process opened. */
struct backing_file {
	struct path user_path;
};

/* A mapping. */
struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff; /* in pages */
	struct file *vm_file;
};

/* A thread's number in each of the namespaces that it is in. */
struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

/* A slab cache. */
struct kmem_cache {
	unsigned int object_size; /* as asked for by who made it */
	unsigned int size;        /* with what the allocator adds */
	const char *name;
};

/* Records of the classic kmem tracepoints; the first two from Linux 6.1, "old" before. */
struct trace_event_raw_kmalloc {
	unsigned long call_site;
	const void *ptr;
	size_t bytes_req;
	size_t bytes_alloc;
	unsigned long gfp_flags;
};

struct trace_event_raw_kmem_cache_alloc {
	unsigned long call_site;
	const void *ptr;
	size_t bytes_req;
	size_t bytes_alloc;
	unsigned long gfp_flags;
};

struct trace_event_raw_kmem_alloc___old {
	unsigned long call_site;
	const void *ptr;
	size_t bytes_req;
	size_t bytes_alloc;
	unsigned int gfp_flags;
};

struct trace_event_raw_kfree {
	const void *ptr;
};

struct trace_event_raw_kmem_cache_free {
	const void *ptr;
};

struct task_struct {
	struct pid *thread_pid;
	int pid;
	int tgid;
	struct uprobe_task *utask;
};

#pragma clang attribute pop
#endif
