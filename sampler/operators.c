/* SPDX-License-Identifier: Apache-2.0
 *
 * operator new and delete of C++, for the allocators that define their own (jemalloc, tcmalloc, mimalloc). Those of
 * the C++ library call malloc and free, where their objects are seen: then these are jumps and nothing else.
 *
 * The names are those of the Itanium C++ ABI for 64-bit machines: m is size_t, St11align_val_t the alignment,
 * RKSt9nothrow_t the reference to std::nothrow. */
#include "sampler.h"

/* What stands behind an operator. */
struct next {
	void *function;
	/* Whether it is of the same file as the malloc below. If not, it calls malloc or another operator, where its
	 * object is seen: allocators lack some of the twenty. */
	bool own;
	bool tried;
};

/* Found at the first call of each. A library that was opened with its C++ library, apart from the program's, would
 * find ours instead of that: the search begins at the caller then. */
SLOW static void find(const char *name, struct next *next, void *caller)
{
	void *found;

	drip_resolve();
	found = drip_find_next(name, caller);
	if (found == NULL)
		drip_give_up("an operator new or delete is not defined behind this library\n");
	next->own = drip_same_file(found, (void *)drip_next.malloc);
	__atomic_store_n(&next->function, found, __ATOMIC_RELEASE);
}

#define OPEN(...) __VA_ARGS__

/* The type of the function is that of the one that is being defined. */
#define CALL(name) ((__typeof__(name) *)next##name.function)

/* An exception passes through: there is nothing to undo. */
#define NEW(name, parameters, arguments)                                                        \
	static struct next next##name;                                                          \
	EXPORT void *name parameters;                                                           \
	SLOW static void *slow##name(OPEN parameters, void *caller)                             \
	{                                                                                       \
		void *block;                                                                    \
		if (next##name.function == NULL)                                                \
			find(#name, &next##name, caller);                                       \
		if (next##name.own && !next##name.tried) {                                      \
			drip_begin_trial();                                                     \
			block = CALL(name) arguments;                                           \
			next##name.own = !drip_end_trial();                                     \
			next##name.tried = true;                                                \
			return block;                                                           \
		}                                                                               \
		if (!next##name.own || drip_passes(size) || !drip_due(size))                    \
			return CALL(name) arguments;                                            \
		block = CALL(name) arguments;                                                   \
		if (block != NULL)                                                              \
			drip_born(block, size);                                                 \
		return block;                                                                   \
	}                                                                                       \
	EXPORT void *name parameters                                                            \
	{                                                                                       \
		if (LIKELY(next##name.function != NULL && (!next##name.own || drip_passes(size)))) \
			return CALL(name) arguments;                                            \
		return slow##name(OPEN arguments, __builtin_return_address(0));                 \
	}

#define DELETE(name, parameters, arguments)                                                     \
	static struct next next##name;                                                          \
	EXPORT void name parameters;                                                            \
	SLOW static void slow##name(OPEN parameters, void *caller)                              \
	{                                                                                       \
		if (next##name.function == NULL)                                                \
			find(#name, &next##name, caller);                                       \
		if (next##name.own)                                                             \
			drip_died(pointer, NULL);                                               \
		CALL(name) arguments;                                                           \
	}                                                                                       \
	EXPORT void name parameters                                                             \
	{                                                                                       \
		if (LIKELY(next##name.function != NULL && (!next##name.own || !drip_may_have(pointer)))) \
			CALL(name) arguments;                                                   \
		else                                                                            \
			slow##name(OPEN arguments, __builtin_return_address(0));                \
	}

#define BOTH_NEW(tail, parameters, arguments)      \
	NEW(_Znwm##tail, parameters, arguments)    \
	NEW(_Znam##tail, parameters, arguments)

#define BOTH_DELETE(tail, parameters, arguments)      \
	DELETE(_ZdlPv##tail, parameters, arguments)   \
	DELETE(_ZdaPv##tail, parameters, arguments)

BOTH_NEW(, (size_t size), (size))
BOTH_NEW(RKSt9nothrow_t, (size_t size, const void *tag), (size, tag))
BOTH_NEW(St11align_val_t, (size_t size, size_t alignment), (size, alignment))
BOTH_NEW(St11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const void *tag), (size, alignment, tag))

BOTH_DELETE(, (void *pointer), (pointer))
BOTH_DELETE(m, (void *pointer, size_t size), (pointer, size))
BOTH_DELETE(RKSt9nothrow_t, (void *pointer, const void *tag), (pointer, tag))
BOTH_DELETE(St11align_val_t, (void *pointer, size_t alignment), (pointer, alignment))
BOTH_DELETE(mSt11align_val_t, (void *pointer, size_t size, size_t alignment), (pointer, size, alignment))
BOTH_DELETE(St11align_val_tRKSt9nothrow_t, (void *pointer, size_t alignment, const void *tag),
	    (pointer, alignment, tag))
