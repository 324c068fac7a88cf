/* jemalloc's own functions, as Rust's crates use them: with a prefix, or with none where -DPREFIX(name) is name. */
#include "own_prefixed.h"

void *PREFIX(mallocx)(size_t, int);
void *PREFIX(rallocx)(void *, size_t, int);
void PREFIX(dallocx)(void *, int);
void PREFIX(sdallocx)(void *, size_t, int);

/* MALLOCX_LG_ALIGN(12), MALLOCX_ZERO. */
enum { align_page = 12, zero = 0x40 };

#define OWN_SITES \
	SITE(mallocx) { UNUSED; return PREFIX(mallocx)(size, 0); } \
	SITE(mallocx_aligned) { UNUSED; return PREFIX(mallocx)(size, align_page); } \
	SITE(mallocx_zero) { UNUSED; return PREFIX(mallocx)(size, zero); } \
	SITE(rallocx) { UNUSED; return PREFIX(rallocx)(old, size, 0); } \
	SITE(rallocx_aligned) { UNUSED; return PREFIX(rallocx)(old, size, align_page); }

#define OWN_ROWS \
	ROW(mallocx, makes, usual, 30), ROW(mallocx_aligned, makes, usual, 10), ROW(mallocx_zero, makes, usual, 20), \
	ROW(rallocx, remakes, usual, 15), ROW(rallocx_aligned, remakes, usual, 5),

/* The size must be of the class that it was asked for, so only where no alignment came in. */
#define OWN_RELEASE(pointer, size, call) \
	do { \
		if ((call) == site_mallocx && (size) > 0) \
			PREFIX(sdallocx)(pointer, size, 0); \
		else if ((call) == site_malloc_a) \
			free(pointer); \
		else \
			PREFIX(dallocx)(pointer, 0); \
	} while (0)
