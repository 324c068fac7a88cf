#pragma once
#include <stddef.h>
#include <stdint.h>

/// Receives one formatted libbpf message; `level` is an `enum libbpf_print_level`.
typedef void (*clibbpf_log_sink)(int level, const char *_Nonnull message);

/// Routes libbpf's printf-style log through `sink`. A va_list cannot cross into Swift on every architecture.
void clibbpf_set_log_sink(clibbpf_log_sink _Nullable sink);

/// Attach types that the UAPI header of libbpf 1.1 does not know (include/uapi/linux/bpf.h, Linux 6.6 and 6.13).
enum {
	CLIBBPF_TRACE_UPROBE_MULTI = 48,
	CLIBBPF_TRACE_UPROBE_SESSION = 57,
	CLIBBPF_UPROBE_MULTI_RETURN = 1,
};

/// BPF_LINK_CREATE for a uprobe_multi or session link (Linux 6.6), which libbpf 1.1 cannot express.
/// Returns a descriptor, or -errno.
int clibbpf_link_create_uprobe_multi(
	int program, int attach_type, const char *_Nonnull path, const uint64_t *_Nonnull offsets,
	const uint64_t *_Nonnull cookies, const uint64_t *_Nonnull semaphores, uint32_t count, uint32_t flags, int32_t pid);

/// The number of times the kernel skipped a program because one was running, or -errno.
int64_t clibbpf_recursion_misses(int program);

/// The number of times a program has run while the kernel counted runs, or -errno.
int64_t clibbpf_runs(int program);

/// Has the kernel count the runs of all programs (BPF_ENABLE_STATS, Linux 5.8) until the descriptor that this returns is
/// closed. Returns -errno if it will not.
int clibbpf_count_runs(void);
