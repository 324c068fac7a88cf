/* gperftools' own functions. */
#define PREFIX(name) tc_##name
#include "own_prefixed.h"

#undef aligned_alloc
#define aligned_alloc tc_memalign

void *tc_new(size_t);
void *tc_newarray(size_t);
void *tc_new_nothrow(size_t, const void *);
void *tc_malloc_skip_new_handler(size_t);
void tc_delete(void *);
void tc_deletearray(void *);
void tc_free_sized(void *, size_t);
void tc_delete_nothrow(void *, const void *);

#define OWN_SITES \
	SITE(new) { UNUSED; return tc_new(size); } \
	SITE(newarray) { UNUSED; return tc_newarray(size); } \
	SITE(new_nothrow) { UNUSED; return tc_new_nothrow(size, ""); } \
	SITE(skip_new_handler) { UNUSED; return tc_malloc_skip_new_handler(size); }

#define OWN_ROWS \
	ROW(new, makes, usual, 30), ROW(newarray, makes, usual, 20), ROW(new_nothrow, makes, usual, 15), \
	ROW(skip_new_handler, makes, usual, 15),

#define OWN_RELEASE(pointer, size, call) \
	do { \
		if ((call) == site_new) \
			tc_delete(pointer); \
		else if ((call) == site_newarray) \
			tc_deletearray(pointer); \
		else if ((call) == site_new_nothrow) \
			tc_delete_nothrow(pointer, ""); \
		else if ((call) == site_malloc_a) \
			tc_free_sized(pointer, size); \
		else \
			free(pointer); \
	} while (0)
