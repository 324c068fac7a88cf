/* The C functions under a prefix: an allocator that some program or library keeps for itself. -DPREFIX(name) says
 * which. */
void *PREFIX(malloc)(size_t);
void *PREFIX(calloc)(size_t, size_t);
void *PREFIX(realloc)(void *, size_t);
void *PREFIX(aligned_alloc)(size_t, size_t);
void *PREFIX(memalign)(size_t, size_t);
void *PREFIX(valloc)(size_t);
int PREFIX(posix_memalign)(void **, size_t, size_t);
void PREFIX(free)(void *);

#define malloc PREFIX(malloc)
#define calloc PREFIX(calloc)
#define realloc PREFIX(realloc)
#define aligned_alloc PREFIX(aligned_alloc)
#define memalign PREFIX(memalign)
#define valloc PREFIX(valloc)
#define posix_memalign PREFIX(posix_memalign)
#define free PREFIX(free)

/* Not every allocator has one. */
static inline void *prefixed_reallocarray(void *old, size_t count, size_t size)
{
	return size > 0 && count > SIZE_MAX / size ? NULL : realloc(old, count * size);
}
#define reallocarray prefixed_reallocarray
