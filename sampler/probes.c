/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace points otel_memory:alloc(pointer, size, weighted_bytes) and otel_memory:free(pointer), the contract of the
 * OpenTelemetry eBPF profiler.
 *
 * Each is a nop of one byte: Linux 6.18 makes a call of a nop of five, which overwrites what lies below rsp. Each
 * stands in a function that has a frame, and this file is compiled without red zones besides. */
#include "sampler.h"

/* The note (version 3 of SystemTap's format) says where the nop, the semaphore and the arguments are. It has the
 * address of .stapsdt.base too, by which a reader tells that the file was moved after the link. Who asks for the frame's
 * address gets a frame. */
#define TRACE_POINT(name, arguments, ...)                                                       \
	__asm__ volatile("990:	nop\n"                                                          \
			 "	.pushsection .note.stapsdt, \"\", \"note\"\n"                   \
			 "	.balign 4\n"                                                    \
			 "	.4byte 992f - 991f, 994f - 993f, 3\n"                           \
			 "991:	.asciz \"stapsdt\"\n"                                           \
			 "992:	.balign 4\n"                                                    \
			 "993:	.8byte 990b, stapsdt_base, otel_memory_" #name "_semaphore\n"   \
			 "	.asciz \"otel_memory\"\n"                                       \
			 "	.asciz \"" #name "\"\n"                                         \
			 "	.asciz \"" arguments "\"\n"                                     \
			 "994:	.balign 4\n"                                                    \
			 "	.popsection\n"                                                  \
			 : : __VA_ARGS__, "r"(__builtin_frame_address(0)))

__attribute__((section(".stapsdt.base"), used, visibility("hidden"))) const char stapsdt_base;

/* In initialised data that stays writable. */
#define SEMAPHORE __attribute__((section(".probes"), used, visibility("hidden"))) volatile unsigned short
SEMAPHORE otel_memory_alloc_semaphore;
SEMAPHORE otel_memory_free_semaphore;

void drip_fire_alloc(void *pointer, uint64_t size, uint64_t weighted_bytes)
{
	TRACE_POINT(alloc, "8@%0 8@%1 8@%2", "r"(pointer), "r"(size), "r"(weighted_bytes));
}

void drip_fire_free(void *pointer)
{
	TRACE_POINT(free, "8@%0", "r"(pointer));
}
