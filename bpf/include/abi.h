/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
 *
 * Every structure and limit that the BPF programs share with Swift, each once. Nothing else lives here.
 * Fixed-width types only; the asserts at the end pin the layouts on both sides. */
#ifndef DRIP_ABI_H
#define DRIP_ABI_H

#ifdef __bpf__
typedef __u64 drip_u64;
typedef __u32 drip_u32;
typedef __u16 drip_u16;
typedef __u8 drip_u8;
typedef __s32 drip_s32;
typedef __s16 drip_s16;
#else
#include <stdint.h>
typedef uint64_t drip_u64;
typedef uint32_t drip_u32;
typedef uint16_t drip_u16;
typedef uint8_t drip_u8;
typedef int32_t drip_s32;
typedef int16_t drip_s16;
#endif

/* What a probed function does; travels in the low byte of the attach cookie. Equal to the raw values of
 * Profile.AllocatorCall. */
enum drip_op {
	DRIP_MALLOC = 1,
	DRIP_CALLOC = 2,
	DRIP_REALLOC = 3,
	DRIP_REALLOCARRAY = 4,
	DRIP_ALIGNED_ALLOC = 5,
	DRIP_POSIX_MEMALIGN = 6,
	DRIP_FREE = 7,
};

/* Ways to lose an event, or a fact about one; indices into drip_status.losses. */
enum drip_loss {
	DRIP_LOSS_TABLE_FULL,
	DRIP_LOSS_INFLIGHT_FULL,
	DRIP_LOSS_LOST_RETURNS,
	DRIP_LOSS_UNREADABLE_RESULT,
	DRIP_LOSS_STALE_ADDRESSES,
	DRIP_LOSS_SITES_FULL,
	DRIP_LOSS_FRAMES_FULL,
	DRIP_LOSS_SCRATCH_BUSY,
	DRIP_LOSS_TRUNCATED_STACKS,
	DRIP_LOSS_UNREADABLE_STACKS,
	DRIP_LOSS_UNMATCHED_FREES,
	DRIP_LOSS_COLLIDING_SITES,
	DRIP_LOSS_REGION_EVENTS,
	DRIP_LOSS_CHECKS,
	DRIP_LOSS_UNMAPPED_STACKS,
	DRIP_LOSS_LINKER_EVENTS,
	DRIP_LOSS_COUNT,
};

/* Why a stack walk ended; drip_site.end. 0 means that the frames are not stored yet. */
enum drip_end {
	DRIP_END_PENDING = 0,
	DRIP_END_COMPLETE = 1,
	DRIP_END_TRUNCATED = 2,
	DRIP_END_UNREADABLE = 3,
	DRIP_END_BROKEN = 4,
	DRIP_END_MISSING = 5,
	DRIP_END_UNMAPPED = 6, /* code whose mapping or table was not known yet */
};

enum {
	DRIP_WAYS = 6,             /* objects in a bucket of the live table */
	DRIP_SIZE_BITS = 40,       /* size and site share one word; larger objects go to the overflow map */
	DRIP_SITE_BITS = 24,
	DRIP_BIRTH_SHIFT = 20,     /* births count in units of 2^20 ns (1.05 ms); 32 bits last 52 days */
	DRIP_CALLS = 8,            /* calls in flight in a bucket */
	DRIP_CALL_BITS = 10,
	DRIP_CALL_BUCKETS = 1 << DRIP_CALL_BITS,
	DRIP_FRAMES = 512,         /* deepest stack stored */
	DRIP_BLOCK_FRAMES = 16,    /* frames in one block of the frame store */
	DRIP_SITE_PROBES = 128,    /* slots tried for a site before it counts as full */
	DRIP_WINDOW = 1024,        /* words of user stack kept at once */
	DRIP_LEAST_READ = 48,      /* words read at first, at least and at most: as many as the last walk needed */
	DRIP_MOST_READ = 448,
	DRIP_MEMO_WORDS = 160,     /* words of the stack that a remembered walk may depend on */
	DRIP_NOT_REMEMBERED = DRIP_MEMO_WORDS + 1, /* so many words mean: more than can be noted, or not wanted */
	DRIP_MEMO_BITS = 11,
	DRIP_MEMOS = 1 << DRIP_MEMO_BITS, /* walks remembered */
	DRIP_MEMO_WAYS = 4,        /* of those that begin alike */
	DRIP_FUNCTIONS = 32,       /* functions of one process that may be probed from the inside */
	DRIP_MAPPINGS = 2048,      /* executable mappings a process may have; beyond, stacks are cut */
	DRIP_RULES = 16384,
	DRIP_ROWS_PER_CHUNK = 1024,
	DRIP_PC_CACHE = 4096,
	DRIP_SCRATCH_PER_CPU = 5, /* four, and one that another is better than (see copies_slowly) */
	DRIP_FILES = 8192,         /* files with code that are found by their inode */
	DRIP_PATH_BYTES = 256,
	DRIP_BASES = 2048,         /* addresses at which libraries were loaded, for which it is known which */
	DRIP_NEW_MODULES = 16,     /* modules told of for one dlopen; more only by looking */
	DRIP_PAGE_BYTES = 4096,
	DRIP_CACHE_LINE = 64,
	DRIP_CHECK_PAGES = 9,      /* of a stack's copy: 32 KiB and what stands below in the first page */
	DRIP_CHECK_MOST_PAGES = 65, /* of a larger one's: 256 KiB */
	DRIP_KERNEL_FRAMES = 127,  /* as deep as the kernel walks its stacks unless told otherwise */
	DRIP_KERNEL_BULK = 4096,   /* objects of one call that are looked at */
	DRIP_KERNEL_CALLERS = 16384,
	DRIP_KERNEL_PENDING = 8192,
	DRIP_KERNEL_INTERRUPTS = 4, /* functions that serve interrupts */
	DRIP_KERNEL_ALLOC_SLOTS = 24, /* functions that fexit programs may be attached to */
	DRIP_KERNEL_FREE_SLOTS = 8,
	DRIP_NO_SITE = 0,          /* the site of allocations whose stack found no room */
};

/* One bucket of the live table: two cache lines, keys in the first. A key is an address with the process
 * index in bits 48..63; 0 is an empty slot. `value` is size << DRIP_SITE_BITS | site. */
struct drip_bucket {
	drip_u64 key[DRIP_WAYS];
	drip_u64 value[DRIP_WAYS];
	drip_u32 birth[DRIP_WAYS];
	drip_u32 overflowed; /* objects of this bucket that went to the overflow map, ever */
	drip_u32 reserved;
};

/* An object that found no room in its bucket, or is too large for the packed word. */
struct drip_object {
	drip_u64 size;
	drip_u32 site;
	drip_u32 birth;
};

/* One distinct stack of one process. The counters only grow. */
struct drip_site {
	drip_u64 hash; /* 0 is an empty slot; the identity of the stack otherwise */
	drip_u64 allocs;
	drip_u64 frees;
	drip_u64 allocated_bytes;
	drip_u64 freed_bytes;
	drip_u32 first_block; /* of the frame store */
	drip_u16 frame_count;
	drip_u16 process;
	drip_u64 end;   /* enum drip_end; drip_linker.changes at that time in the upper half */
	drip_u64 check; /* a second hash of the same frames, so that a collision of the first is noticed */
};

struct drip_frame_block {
	drip_u64 address[DRIP_BLOCK_FRAMES];
};

/* A call that was entered and has not returned. Kept per thread, so an allocator's own inner calls are
 * seen to be inner. For realloc the old object is held here, out of the table, until its fate is known. */
struct drip_call {
	drip_u64 sp;      /* of the return address; for DRIP_REMEMBERED too */
	drip_u64 size;
	drip_u64 pointer; /* realloc: the old address; posix_memalign: where the result will be */
	drip_u64 old_size;
	drip_u64 seen;    /* on trial: the result that an inner site told */
	drip_u32 old_site;
	drip_u32 old_birth;
	drip_u8 op;       /* enum drip_op, or DRIP_REMEMBERED */
	drip_u8 has_old;
	drip_u8 zero_size;
	drip_u8 function; /* its number if it is on trial; DRIP_FUNCTIONS otherwise */
	drip_u8 hits;     /* on trial: inner sites that told a result */
	drip_u8 told;     /* on trial: an inner site told the size */
	drip_u8 nested;   /* on trial: another probed function was called inside */
	drip_u8 wrong;    /* on trial: an inner site contradicted the entry, or could not look (bits in user.bpf.c) */
};

struct drip_calls {
	drip_u64 owner[DRIP_CALLS]; /* thread group and thread id; 0 is free */
	struct drip_call call[DRIP_CALLS];
};

/* A call that one-trap sites have in hand: the size was seen, the result not yet. It is no call in flight. */
#define DRIP_REMEMBERED 100

/* What is going on with a traced process. */
enum drip_state {
	DRIP_STATE_OFF = 0,
	DRIP_STATE_ON = 1,
	DRIP_STATE_EXECED = 2, /* another program runs in it now: nothing is counted until user space has looked */
};

struct drip_target {
	drip_u32 state;
	drip_u32 one_trap; /* bit f: function f is counted by its inner sites */
	drip_u32 forks;    /* children born since the start of the watch */
	drip_u32 execs;
};

/* How the inner sites of one function have done against its entry and return. */
struct drip_trial {
	drip_u64 agreed;
	drip_u64 disagreed;
	drip_u64 nested;
};

/* The cookie of an entry probe: op | process << 8 | function << 24. That of an inner site: */
enum drip_inner_cookie {
	DRIP_INNER_ROLE = 0,       /* 2 bits: enum drip_role */
	DRIP_INNER_CONDITION = 2,  /* 4 bits: the condition of the jump, as in its opcode */
	DRIP_INNER_EDGE = 6,       /* 2 bits: 0 both ways, 1 when it falls through, 2 when it jumps */
	DRIP_INNER_PROCESS = 8,    /* 16 bits */
	DRIP_INNER_FUNCTION = 24,  /* 8 bits */
	DRIP_INNER_RESULT = 32,    /* 6 bits: a place: 0..15 a register, 16 + n the n-th word of the stack */
	DRIP_INNER_SIZE = 38,      /* 6 bits: a place */
	DRIP_INNER_FP = 44,        /* 6 bits: a place: the caller's frame pointer */
	DRIP_INNER_FRAME = 50,     /* 8 bits: words from rsp to the canonical frame address */
};

/* The cookie of a USDT probe: process << 8 as above, then two values. Each: 4 bits of a register's number, 1 bit
 * that says that the value is in memory at register + displacement, 1 bit that says that it has 4 bytes and not 8,
 * 12 bits of signed displacement. */
enum drip_usdt_cookie {
	DRIP_USDT_POINTER = 24,
	DRIP_USDT_WEIGHT = 42,
	DRIP_USDT_MEMORY = 4,       /* within a value */
	DRIP_USDT_SHORT = 5,
	DRIP_USDT_DISPLACEMENT = 6,
};

enum drip_role {
	DRIP_ROLE_LEAVE = 0, /* settles if a call of this very frame is remembered, else the hit means nothing */
	DRIP_ROLE_RECORD = 1,
	DRIP_ROLE_REMEMBER = 2,
	DRIP_ROLE_SETTLE = 3,
};

/* Functions that map memory; in the low byte of their cookies. Equal to the raw values of Profile.MappingCall. */
enum drip_mapping_call {
	DRIP_MMAP = 16,
	DRIP_MUNMAP = 17,
	DRIP_MREMAP = 18,
	DRIP_BRK = 19,
};

enum drip_region_op {
	DRIP_REGION_MAPPED = 1,
	DRIP_REGION_GONE = 2,   /* told before it is */
	DRIP_REGION_STAYED = 3, /* the last GONE of this thread was refused */
	DRIP_REGION_BREAK = 4,  /* the program's break is now at `address` */
};

/* One record of the ring buffer. */
struct drip_region_event {
	drip_u64 thread; /* thread group and thread id */
	drip_u64 address;
	drip_u64 length;
	drip_u32 birth;
	drip_u32 site;
	drip_u16 process;
	drip_u16 op; /* enum drip_region_op */
	drip_u32 reserved;
};

/* The one place for counters that are not a site's. */
struct drip_status {
	drip_u64 losses[DRIP_LOSS_COUNT];
	drip_u64 sites;       /* slots claimed */
	drip_u64 next_block;  /* first free block of the frame store */
};

/* How to find the caller's frame; compiled from .eh_frame, see Binaries/Unwinding. */
enum drip_cfa {
	DRIP_CFA_NONE = 0,      /* no call frame information here: follow the frame pointer */
	DRIP_CFA_RSP = 1,       /* rsp + off */
	DRIP_CFA_RBP = 2,       /* rbp + off */
	DRIP_CFA_PLT = 3,       /* rsp + 8 + ((pc & 15) >= off ? 8 : 0) */
	DRIP_CFA_DEREF_RBP = 4, /* *(rbp + low half of off) + high half of off */
	DRIP_CFA_DEREF_RSP = 5,
	DRIP_CFA_SIGNAL = 6,    /* the kernel's signal frame */
	DRIP_CFA_STOP = 7,      /* the outermost frame */
	DRIP_CFA_UNSUPPORTED = 8,
};

/* Where the return address is, in the upper half of drip_rule's cfa. x86-64 has it at CFA - 8, always. "rsp" and "rbp"
 * above are sp and x29 on arm64. */
enum drip_return {
	DRIP_CFA_BITS = 4,
	DRIP_CFA_MASK = 15,
	DRIP_RETURN_BELOW_CFA = 0,
	DRIP_RETURN_IN_REGISTER = 1, /* x30 */
	DRIP_RETURN_ABOVE_FP = 2,    /* CFA + fp_off + 8: a frame record */
	DRIP_RETURN_AT_CFA = 3,      /* CFA + fp_off, and x29 is the caller's */
};

enum drip_fp {
	DRIP_FP_SAME = 0,
	DRIP_FP_AT_CFA = 1,
	DRIP_FP_AT_RBP = 2,
	DRIP_FP_UNDEFINED = 3,
	DRIP_FP_AT_RSP = 4,
};

struct drip_rule {
	drip_u8 cfa;
	drip_u8 fp;
	drip_s16 fp_off;
	drip_s32 cfa_off;
};

/* A file with code, by what a mapping of it tells: the way to its rows where a process's list of mappings does not (yet)
 * lead there. */
struct drip_file_key {
	drip_u64 inode;
	drip_u32 device; /* as the kernel has it: major << 20 | minor */
	drip_u32 reserved;
};

struct drip_file {
	drip_u64 bias;       /* drip_mapping.bias of a mapping is its begin minus its offset in the file plus this */
	drip_u32 first_page;
	drip_u32 page_count; /* 0: no rows, follow the frame pointer */
};

/* What the dynamic linker of a process has said. */
struct drip_linker {
	drip_u64 debug;   /* address of its r_debug; 0: not known */
	drip_u64 tail;    /* the last module of its list before libraries come; 0: not known */
	drip_u32 changes; /* it has said so often that its list changes, or has changed */
	drip_u32 known;   /* the value of `changes` at which user space has looked; equal: the lists are right */
	drip_u32 state;   /* enum drip_linker_state, the last */
	drip_u32 reserved;
	drip_u64 reused_begin; /* here one library has lain after another, so that addresses alone tell no stack */
	drip_u64 reused_end;   /* 0: nowhere */
};

/* r_debug.r_state of <link.h>. */
enum drip_linker_state {
	DRIP_LINKER_CONSISTENT = 0,
	DRIP_LINKER_ADD = 1,
	DRIP_LINKER_DELETE = 2,
};

/* Something has changed. A record of a ring buffer. */
struct drip_linker_event_head {
	drip_u64 time;    /* CLOCK_MONOTONIC, ns */
	drip_u64 base;    /* l_addr: address in memory minus virtual address in the file; 0 without a library */
	drip_u32 process;
	drip_u32 change;  /* of drip_linker.changes */
};

/* A library has come. */
struct drip_linker_event {
	struct drip_linker_event_head head;
	drip_u8 path[DRIP_PATH_BYTES]; /* as the target wrote it, terminated */
};

/* A run of rows for 64 KiB of text. */
struct drip_page {
	drip_u32 first;
	drip_u32 count;
};

/* Rows: low 16 bits of the address << 16 | rule, ascending within a page. */
struct drip_row_chunk {
	drip_u32 row[DRIP_ROWS_PER_CHUNK];
};

/* An executable mapping; ascending by `begin`. */
struct drip_mapping {
	drip_u64 begin;
	drip_u64 end;
	drip_u64 bias;       /* address in memory minus virtual address in the file, minus base page */
	drip_u32 first_page; /* into the page table */
	drip_u32 page_count; /* 0: no rows, follow the frame pointer */
};

/* A process's code as it was mapped at one time. There are two for each process, side by side: user space fills
 * the idle one and then turns `active` of the first, so that no walk ever sees half of a change. */
struct drip_process {
	drip_u32 mapping_count;
	drip_u32 active; /* in the even one of the two: which is to be used */
	drip_u32 generation; /* another one for every content, so that no remembered walk outlives its tables */
	drip_u32 reserved;
	struct drip_mapping mapping[DRIP_MAPPINGS];
	drip_u64 pc_cache[DRIP_PC_CACHE]; /* see cache.bpf.h: one word, so it cannot tear */
};

/* Where the frame pointer of a walk comes from, if it is not the address of a word. */
enum drip_fp_origin {
	DRIP_FP_FROM_START = 0, /* start_fp, and nothing depends on that yet */
	DRIP_FP_NOTED = 1,      /* what it is made of is among the words that the walk depends on */
};

/* Working memory of one stack walk. Claimed by compare-and-swap, because a uprobe's program may be
 * preempted by another on the same CPU. */
struct drip_scratch {
	drip_u32 busy;
	drip_u32 count;
	drip_u64 pc;
	drip_u64 sp;
	drip_u64 fp;
	drip_u64 hash;
	drip_u64 check;
	drip_u64 hidden_pc; /* the last one that a return probe had hidden */
	drip_u64 window_base;
	drip_u32 window_words;
	drip_u32 window_in_page; /* where the window itself lies */
	drip_u64 word; /* of the stack, the one read last */
	drip_u64 known_end; /* of a stack: no read across it, which would fault, and that takes longer than the walk */
	drip_u64 start_pc; /* where the walk began: return address, canonical frame address, frame pointer */
	drip_u64 start_sp;
	drip_u64 start_fp;
	drip_u32 hint;  /* words that the last walk here needed */
	drip_u32 uses_fp; /* the walk depends on start_fp */
	drip_u64 fp_at; /* where the frame pointer was saved, not read yet; or enum drip_fp_origin */
	drip_u64 lr;    /* arm64: the return address of a function that a signal interrupted */
	drip_u64 python_frame; /* the next one; once the walk is done, the first that found no room */
	drip_u32 marked; /* frames that are Python's */
	drip_u32 most;   /* frames, with these */
	drip_u32 end;
	drip_u32 reads; /* words that the walk depends on; DRIP_NOT_REMEMBERED: and it is not to be remembered */
	drip_u32 extent; /* words above start_sp that these reach to */
	drip_u32 changing; /* the list of mappings is not to be relied on: the kernel is asked instead */
	drip_u64 read_word[DRIP_MEMO_WORDS + 8]; /* and room to fill the last eight up */
	drip_u16 read_at[DRIP_MEMO_WORDS + 8]; /* in bytes above start_sp */
	drip_u64 frame[DRIP_FRAMES];
	drip_u64 window[DRIP_WINDOW];
	drip_u64 behind[DRIP_WINDOW / 4]; /* never used: comparing need not check that it stays within the window */
	drip_u64 saved[5]; /* for the self-check: the caller's rbx, r12 to r15 */
	drip_u32 has_saved;
};

/* One stack for the self-check, a record of its ring buffer. */
struct drip_check {
	drip_u64 pc; /* where the walk began, as in drip_scratch */
	drip_u64 sp;
	drip_u64 fp;
	drip_u64 saved[5];
	drip_u64 base; /* address of the copy, a page's */
	drip_u32 site;
	drip_u16 process;
	drip_u16 count; /* frames of the walk; 0: it was a remembered one, the site has them */
	drip_u16 pages; /* of the copy */
	drip_u8 end;    /* enum drip_end */
	drip_u8 has_saved;
	drip_u32 change; /* how often the dynamic linker had told of changes */
	drip_u64 frame[DRIP_FRAMES];
	drip_u8 stack[DRIP_CHECK_PAGES][DRIP_PAGE_BYTES]; /* or DRIP_CHECK_MOST_PAGES */
};

/* A walk that was done before. A walk is a function of where it starts, of the words that it reads and of the
 * process's tables; when all of those are the same again, so is the stack, and its site is known without a walk. */
struct drip_memo {
	drip_u64 version; /* odd while it is being written */
	drip_u64 pc;
	drip_u64 sp;
	drip_u64 fp;
	drip_u64 fp_mask; /* 0: the walk did not depend on fp */
	drip_u32 misses; /* in a row */
	drip_u32 ways;   /* of the walks that begin here, how many are remembered in other slots */
	drip_u32 generation;
	drip_u32 site;
	drip_u16 process;
	drip_u16 count;  /* a multiple of 8: padded with its last entry */
	drip_u16 extent; /* words above sp that must be at hand */
	drip_u16 end;    /* enum drip_end */
	drip_u64 word[DRIP_MEMO_WORDS];
	drip_u16 at[DRIP_MEMO_WORDS]; /* in bytes above sp */
};

/* A frame of CPython 3.11 in the list of a stack's frames: all of them stand before the native ones, innermost first.
 * The mark, whether a C frame of the interpreter begins here, the code unit that runs (0: none yet; the largest: that
 * or a later one) and the code object's address, which is a multiple of 8. */
enum drip_python_word {
	DRIP_PYTHON_MARK = 63,
	DRIP_PYTHON_ENTRY = 62,
	DRIP_PYTHON_UNIT = 44,
	DRIP_PYTHON_UNIT_BITS = 18,
	DRIP_PYTHON_FRAMES = 128, /* few enough that native ones find room */
};

/* Where CPython 3.11 keeps what is needed, in bytes: Include/internal/pycore_runtime.h, Include/cpython/pystate.h,
 * Include/internal/pycore_frame.h and Include/cpython/code.h of 3.11, for 64-bit machines. */
enum drip_python_layout {
	DRIP_PYTHON_RUNTIME_CURRENT = 576, /* _PyRuntimeState.gilstate.tstate_current */
	DRIP_PYTHON_THREAD_CFRAME = 56,    /* PyThreadState.cframe */
	DRIP_PYTHON_THREAD_ID = 160,       /* PyThreadState.native_thread_id */
	DRIP_PYTHON_CFRAME_FRAME = 8,      /* _PyCFrame.current_frame */
	DRIP_PYTHON_FRAME_CODE = 32,       /* _PyInterpreterFrame.f_code */
	DRIP_PYTHON_CODE_UNITS = 184,      /* PyCodeObject.co_code_adaptive */
};

/* Which of the kernel's allocators an object is from; equal to the raw values of Profile.KernelDomain. */
enum drip_kernel_domain {
	DRIP_KERNEL_SLAB = 0,
	DRIP_KERNEL_VMALLOC = 1,
	DRIP_KERNEL_PAGES = 2,
	DRIP_KERNEL_PERCPU = 3,
};

/* What a hooked function of the kernel does; the low byte of its cookie. */
enum drip_kernel_op {
	DRIP_KERNEL_ALLOC = 1,      /* returns an object */
	DRIP_KERNEL_ALLOC_BULK = 2, /* returns how many it has put into an array */
	DRIP_KERNEL_FREE = 3,
	DRIP_KERNEL_FREE_BULK = 4,  /* an array and its length */
	DRIP_KERNEL_FREE_RCU = 5,   /* later: rcu_head, and what tells the object */
};

/* The rest of that cookie: where the arguments stand, 4 bits each. */
enum drip_kernel_cookie {
	DRIP_KERNEL_SIZE_ARG = 8,
	DRIP_KERNEL_CACHE_ARG = 12,
	DRIP_KERNEL_FLAGS_ARG = 16,
	DRIP_KERNEL_POINTER_ARG = 20, /* the object, or the array */
	DRIP_KERNEL_COUNT_ARG = 24,   /* the array's length */
	DRIP_KERNEL_DOMAIN = 28,      /* enum drip_kernel_domain */
	DRIP_KERNEL_NO_ARG = 15,
};

/* Which arguments the kmem tracepoints have. */
enum drip_kmem_layout {
	DRIP_KMEM_5 = 0, /* to 5.19: call_site, ptr, bytes_req, bytes_alloc, gfp */
	DRIP_KMEM_60 = 1, /* 6.0: the cache before the sizes */
	DRIP_KMEM_61 = 2, /* since 6.1: kmalloc as to 5.19; kmem_cache_alloc has call_site, ptr, cache, gfp */
};

/* What the kernel half is asked to do, in the one element of its map `control`. */
struct drip_kernel_control {
	drip_u32 on;      /* nothing counts while it is 0 */
	drip_u32 reserved;
	drip_u64 unheard; /* frees of objects that were not known */
};

/* Code of the kernel, from `begin` to before `end`. */
struct drip_kernel_range {
	drip_u64 begin;
	drip_u64 end;
};

/* Who calls the allocator, from which cache; the smallest identity of a site. */
struct drip_kernel_caller {
	drip_u64 address;
	drip_u64 cache; /* struct kmem_cache *; or the domain */
};

struct drip_kernel_caller_state {
	drip_u32 site;  /* the site of this caller alone */
	drip_u32 armed; /* its stacks are wanted */
};

/* Where the objects of a site are from, as it was at the first one. In a map beside the sites. */
struct drip_kernel_origin {
	drip_u64 cache;
	drip_u64 cgroup;
	drip_u64 caller;
	drip_u32 known; /* 2: written, 1: being written */
	drip_u32 pid;
	drip_u32 flags;        /* gfp_t */
	drip_u32 bucket_bytes; /* 0: not told */
	drip_u32 domain;
	drip_u16 caller_only;
	drip_u16 mixed; /* other processes have allocated here, too */
	drip_u8 command[16];
	drip_u8 cache_name[40];
};

/* A function that allocates was entered. Found again by where its return address stands. */
struct drip_kernel_pending {
	drip_u64 size;
	drip_u64 array; /* DRIP_KERNEL_ALLOC_BULK: where the objects will be */
	drip_u32 site;
	drip_u32 op;
};

/* Sizes and offsets for Swift, which need not import the long arrays as tuples to know them. */
enum {
	DRIP_BUCKET_BYTES = sizeof(struct drip_bucket),
	DRIP_CALLS_BYTES = sizeof(struct drip_calls),
	DRIP_PROCESS_BYTES = sizeof(struct drip_process),
	DRIP_PROCESS_MAPPINGS_AT = __builtin_offsetof(struct drip_process, mapping),
	DRIP_PROCESS_CACHE_AT = __builtin_offsetof(struct drip_process, pc_cache),
	DRIP_ROW_CHUNK_BYTES = sizeof(struct drip_row_chunk),
	DRIP_SCRATCH_BYTES = sizeof(struct drip_scratch),
	DRIP_MEMO_BYTES = sizeof(struct drip_memo),
	DRIP_TRIAL_BYTES = sizeof(struct drip_trial),
	DRIP_CHECK_BYTES = sizeof(struct drip_check),
	DRIP_CHECK_SITE_AT = __builtin_offsetof(struct drip_check, site),
	DRIP_CHECK_FRAMES_AT = __builtin_offsetof(struct drip_check, frame),
	DRIP_CHECK_STACK_AT = __builtin_offsetof(struct drip_check, stack),
	DRIP_PROCESS_GENERATION_AT = __builtin_offsetof(struct drip_process, generation),
};

/* The windows of one CPU lie each at another place of its page (see copies_slowly). */
#define DRIP_APART(n) (((n) * sizeof(struct drip_scratch) + DRIP_CACHE_LINE) % DRIP_PAGE_BYTES >= 2 * DRIP_CACHE_LINE)
_Static_assert(DRIP_APART(1) && DRIP_APART(2) && DRIP_APART(3) && DRIP_APART(4), "windows apart");

_Static_assert(sizeof(struct drip_bucket) == 128, "two cache lines");
_Static_assert(sizeof(struct drip_object) == 16, "value of the overflow map");
_Static_assert(sizeof(struct drip_site) == 64, "a cache line");
_Static_assert(sizeof(struct drip_call) == 56, "drip_call");
_Static_assert(sizeof(struct drip_calls) == 512, "eight cache lines");
_Static_assert(sizeof(struct drip_target) == 16, "drip_target");
_Static_assert(sizeof(struct drip_region_event) == 40, "drip_region_event");
_Static_assert(sizeof(struct drip_check) == 88 + DRIP_FRAMES * 8 + DRIP_CHECK_PAGES * DRIP_PAGE_BYTES, "drip_check");
_Static_assert(DRIP_MEMO_WORDS % 16 == 0, "compared by eights, in two halves");
_Static_assert(sizeof(struct drip_kernel_control) == 16, "drip_kernel_control");
_Static_assert(sizeof(struct drip_kernel_caller) == 16, "a key without holes");
_Static_assert(sizeof(struct drip_kernel_origin) == 104, "drip_kernel_origin");
_Static_assert(sizeof(struct drip_kernel_pending) == 24, "drip_kernel_pending");
_Static_assert(sizeof(struct drip_rule) == 8, "drip_rule");
_Static_assert(sizeof(struct drip_page) == 8, "drip_page");
_Static_assert(sizeof(struct drip_file_key) == 16, "drip_file_key");
_Static_assert(sizeof(struct drip_file) == 16, "drip_file");
_Static_assert(sizeof(struct drip_linker) == 48, "drip_linker");
_Static_assert(sizeof(struct drip_linker_event) == 24 + DRIP_PATH_BYTES, "drip_linker_event");
_Static_assert(sizeof(struct drip_mapping) == 32, "drip_mapping");
_Static_assert(sizeof(struct drip_frame_block) == 128, "drip_frame_block");
_Static_assert(DRIP_FRAMES % DRIP_BLOCK_FRAMES == 0, "whole blocks");
_Static_assert(DRIP_SIZE_BITS + DRIP_SITE_BITS == 64, "size and site share a word");

#endif
