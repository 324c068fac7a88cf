/*
 * sampling_host — the sampling functions of the BPF programs, on the host, for a comparison with those in Swift.
 *
 * Reads 64-bit words: whether sampling is on, the table, then sizes to the end. Writes for each size its threshold,
 * its scaled count and its scaled bytes.
 */
#include <linux/types.h>
#include <stdio.h>

#undef __always_inline
#define __always_inline inline
#define OPAQUE(value) ((void)(value))
/* Here the constants are read from the input. */
#define volatile
#define const
#include "../../bpf/sampling.bpf.h"
#undef volatile
#undef const

int main(void)
{
	__u64 on, size;

	if (fread(&on, sizeof(on), 1, stdin) != 1 ||
	    fread(sample_table, sizeof(sample_table[0]), SAMPLE_ENTRIES, stdin) != SAMPLE_ENTRIES)
		return 2;
	sample_on = on != 0;
	while (fread(&size, sizeof(size), 1, stdin) == 1) {
		__u64 result[3] = { sample_threshold(size), scaled_count(size), 0 };

		result[2] = scaled_bytes(size, result[1]);
		if (fwrite(result, sizeof(result), 1, stdout) != 1)
			return 1;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
