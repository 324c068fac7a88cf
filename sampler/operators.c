/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * operator new and delete of C++, for the allocators that define their own (jemalloc, tcmalloc, mimalloc). Those of
 * the C++ library call malloc and free, where their objects are seen: then these are jumps and nothing else.
 *
 * The names are those of the Itanium C++ ABI for 64-bit machines: m is size_t, St11align_val_t the alignment,
 * RKSt9nothrow_t the reference to std::nothrow. */
#include "sampler.h"

/* Whether the operators below are of the same file as the malloc below. Before that is known, no object of theirs is
 * counted: 0 unknown, 1 yes, -1 no. */
static int own;

/* Found at the first call of each. A library that was opened with its C++ library, apart from the program's, would
 * find ours instead of that: the search begins at the caller then. */
SLOW static void find(const char *name, void **function, void *caller)
{
	void *found;

	drip_resolve();
	found = drip_find_next(name, caller);
	if (found == NULL)
		drip_give_up("an operator new or delete is not defined behind this library\n");
	if (own == 0)
		__atomic_store_n(&own, drip_same_file(found, (void *)drip_next.malloc) ? 1 : -1, __ATOMIC_RELAXED);
	__atomic_store_n(function, found, __ATOMIC_RELEASE);
}

#define OPEN(...) __VA_ARGS__

/* An exception passes through: there is nothing to undo. */
#define NEW(name, types, parameters, arguments)                                         \
	static void *(*next##name) types;                                               \
	SLOW static void *slow##name(OPEN parameters, void *caller)                     \
	{                                                                               \
		void *block;                                                            \
		if (next##name == NULL)                                                 \
			find(#name, (void **)&next##name, caller);                      \
		if (own < 0 || drip_passes(size) || !drip_due(size))                    \
			return next##name arguments;                                    \
		block = next##name arguments;                                           \
		if (block != NULL)                                                      \
			drip_born(block, size);                                         \
		return block;                                                           \
	}                                                                               \
	EXPORT void *name parameters                                                    \
	{                                                                               \
		if (LIKELY(next##name != NULL && (own < 0 || drip_passes(size))))       \
			return next##name arguments;                                    \
		return slow##name(OPEN arguments, __builtin_return_address(0));         \
	}

#define DELETE(name, types, parameters, arguments)                                      \
	static void(*next##name) types;                                                 \
	SLOW static void slow##name(OPEN parameters, void *caller)                      \
	{                                                                               \
		if (next##name == NULL)                                                 \
			find(#name, (void **)&next##name, caller);                      \
		if (own > 0)                                                            \
			drip_died(pointer, NULL);                                       \
		next##name arguments;                                                   \
	}                                                                               \
	EXPORT void name parameters                                                     \
	{                                                                               \
		if (LIKELY(next##name != NULL && (own < 0 || !drip_may_have(pointer)))) \
			next##name arguments;                                           \
		else                                                                    \
			slow##name(OPEN arguments, __builtin_return_address(0));        \
	}

#define BOTH_NEW(tail, types, parameters, arguments)      \
	NEW(_Znwm##tail, types, parameters, arguments)    \
	NEW(_Znam##tail, types, parameters, arguments)

#define BOTH_DELETE(tail, types, parameters, arguments)      \
	DELETE(_ZdlPv##tail, types, parameters, arguments)   \
	DELETE(_ZdaPv##tail, types, parameters, arguments)

BOTH_NEW(, (size_t), (size_t size), (size))
BOTH_NEW(RKSt9nothrow_t, (size_t, const void *), (size_t size, const void *tag), (size, tag))
BOTH_NEW(St11align_val_t, (size_t, size_t), (size_t size, size_t alignment), (size, alignment))
BOTH_NEW(St11align_val_tRKSt9nothrow_t, (size_t, size_t, const void *),
	 (size_t size, size_t alignment, const void *tag), (size, alignment, tag))

BOTH_DELETE(, (void *), (void *pointer), (pointer))
BOTH_DELETE(m, (void *, size_t), (void *pointer, size_t size), (pointer, size))
BOTH_DELETE(RKSt9nothrow_t, (void *, const void *), (void *pointer, const void *tag), (pointer, tag))
BOTH_DELETE(St11align_val_t, (void *, size_t), (void *pointer, size_t alignment), (pointer, alignment))
BOTH_DELETE(mSt11align_val_t, (void *, size_t, size_t), (void *pointer, size_t size, size_t alignment),
	    (pointer, size, alignment))
BOTH_DELETE(St11align_val_tRKSt9nothrow_t, (void *, size_t, const void *),
	    (void *pointer, size_t alignment, const void *tag), (pointer, alignment, tag))
