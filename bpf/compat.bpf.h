/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What differs between kernels and libbpf versions, each with version and reason. */
#ifndef DRIP_COMPAT_BPF_H
#define DRIP_COMPAT_BPF_H

/* Sessions (Linux 6.13): one program runs at entry and at return. The kfuncs are weak, so that the object
 * still opens where the kernel has none; user space then leaves the session program out of the load. */
extern bool bpf_session_is_return(void) __ksym __weak;

/* libbpf 1.1 knows no section name for uprobe_multi and sessions: all programs are plain "uprobe" and
 * user space sets the expected attach type before the load. */

/* Keeps clang from turning a bounded index into something the verifier can no longer bound. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

/* Always 0, which the verifier does not know: adding it makes one state of the many that differ in a value's bounds. */
volatile __u64 unknown_zero = 0;

#define FORGET(value) ((value) += unknown_zero)

#endif
