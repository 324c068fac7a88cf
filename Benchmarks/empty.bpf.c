// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The least that a probe can cost: a program that does nothing, for as many sites as empty.c is given.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe")
int empty(void *ctx)
{
	(void)ctx;
	return 0;
}
