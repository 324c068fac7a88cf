# The programs of the allocator tests: truth.c with every allocator and every way to link it, and programs in other
# languages. Included by build.mk. Debian has no libmimalloc.a.

TRUTH := truth_portable truth_musl truth_musl_static truth_glibc_static truth_jemalloc_linked truth_jemalloc_static \
	truth_jemalloc_hidden truth_tcmalloc_linked truth_tcmalloc_static truth_mimalloc_linked \
	truth_jemalloc_own truth_jemalloc_prefixed truth_jemalloc_prefixed_stripped truth_tcmalloc_own truth_mimalloc_own
CPP_TRUTH := truth_cpp truth_cpp_jemalloc truth_cpp_tcmalloc truth_cpp_mimalloc
LANGUAGE_TRUTH := truth_rust truth_rust_jemalloc truth_swift truth_go
STACKS := stacks stacks_static_pie
ALLOCATOR_WORKLOADS := $(TRUTH:%=$(WORKLOADS_DIR)/bin/%) $(CPP_TRUTH:%=$(WORKLOADS_DIR)/bin/%) \
	$(LANGUAGE_TRUTH:%=$(WORKLOADS_DIR)/bin/%) $(STACKS:%=$(WORKLOADS_DIR)/bin/%)

TRUTH_CC := $(CC)
TRUTH_FLAGS :=
TRUTH_LIBRARIES :=

$(patsubst %,$(WORKLOADS_DIR)/bin/%,$(filter-out %_stripped,$(TRUTH))): $(WORKLOADS_DIR)/truth.c $(wildcard $(WORKLOADS_DIR)/*.h) $(WORKLOADS_DIR)/allocators.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(TRUTH_CC) $(WORKLOAD_CFLAGS) -DPORTABLE $(TRUTH_FLAGS) $< -o $@ $(TRUTH_LIBRARIES)

$(WORKLOADS_DIR)/bin/truth_musl $(WORKLOADS_DIR)/bin/truth_musl_static: TRUTH_CC := musl-gcc
$(WORKLOADS_DIR)/bin/truth_musl $(WORKLOADS_DIR)/bin/truth_musl_static: TRUTH_FLAGS := -DNO_STRDUP
$(WORKLOADS_DIR)/bin/truth_musl_static: TRUTH_LIBRARIES := -static
$(WORKLOADS_DIR)/bin/truth_glibc_static: TRUTH_LIBRARIES := -static
# A program that only calls malloc does not need a library that has it, too, as the linker sees it.
$(WORKLOADS_DIR)/bin/truth_jemalloc_linked: TRUTH_LIBRARIES := -Wl,--no-as-needed -ljemalloc
$(WORKLOADS_DIR)/bin/truth_tcmalloc_linked: TRUTH_LIBRARIES := -Wl,--no-as-needed -ltcmalloc_minimal
$(WORKLOADS_DIR)/bin/truth_mimalloc_linked: TRUTH_LIBRARIES := -Wl,--no-as-needed -lmimalloc
$(WORKLOADS_DIR)/bin/truth_jemalloc_static: TRUTH_LIBRARIES := -Wl,-Bstatic -ljemalloc -Wl,-Bdynamic -lstdc++ -lm
# The program's own calls go to jemalloc, those of its libraries to libc.
$(WORKLOADS_DIR)/bin/truth_jemalloc_hidden: TRUTH_LIBRARIES := -Wl,-Bstatic -ljemalloc -Wl,-Bdynamic -lstdc++ -lm \
	-Wl,--exclude-libs,ALL
$(WORKLOADS_DIR)/bin/truth_jemalloc_hidden: TRUTH_FLAGS := -DHIDDEN -DOWN='"own_jemalloc.h"' -D'PREFIX(name)=name'
$(WORKLOADS_DIR)/bin/truth_tcmalloc_static: TRUTH_LIBRARIES := -Wl,-Bstatic,--whole-archive -ltcmalloc_minimal \
	-Wl,--no-whole-archive,-Bdynamic -lstdc++ -lm

# The allocators' own functions.
$(WORKLOADS_DIR)/bin/truth_jemalloc_own: TRUTH_FLAGS := -DOWN='"own_jemalloc.h"' -D'PREFIX(name)=name'
$(WORKLOADS_DIR)/bin/truth_jemalloc_own: TRUTH_LIBRARIES := -ljemalloc
$(WORKLOADS_DIR)/bin/truth_tcmalloc_own: TRUTH_FLAGS := -DOWN='"own_tcmalloc.h"'
$(WORKLOADS_DIR)/bin/truth_tcmalloc_own: TRUTH_LIBRARIES := -ltcmalloc_minimal
$(WORKLOADS_DIR)/bin/truth_mimalloc_own: TRUTH_FLAGS := -DOWN='"own_mimalloc.h"'
$(WORKLOADS_DIR)/bin/truth_mimalloc_own: TRUTH_LIBRARIES := -lmimalloc

# jemalloc with a prefix, as Rust's crates build it; libc's malloc stays beside it.
PREFIXED_JEMALLOC := $(WORKLOADS_DIR)/bin/libjemalloc_prefixed.a
PREFIXED_FUNCTIONS := malloc calloc realloc free posix_memalign aligned_alloc memalign valloc mallocx rallocx xallocx \
	sallocx dallocx sdallocx nallocx mallctl mallctlnametomib mallctlbymib malloc_stats_print malloc_usable_size
$(PREFIXED_JEMALLOC): $(WORKLOADS_DIR)/allocators.mk
	$(Q)mkdir -p $(@D)
	$(Q)objcopy $(foreach f,$(PREFIXED_FUNCTIONS),--redefine-sym $(f)=_rjem_$(f)) \
		$$($(CC) -print-file-name=libjemalloc.a) $@

$(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed $(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed_stripped: $(PREFIXED_JEMALLOC)
$(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed: TRUTH_FLAGS := -DOWN='"own_jemalloc.h"' -D'PREFIX(name)=_rjem_\#\#name'
$(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed: TRUTH_LIBRARIES := $(PREFIXED_JEMALLOC) -lm

# As distributions with MiniDebugInfo strip it: the function symbols remain, compressed.
$(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed_stripped: $(WORKLOADS_DIR)/bin/truth_jemalloc_prefixed
	$(Q)nm --defined-only $< | awk '$$2 ~ /[tT]/ { print $$3 }' > $@.keep
	$(Q)objcopy -S --remove-section .comment --keep-symbols=$@.keep $< $@.mini 2>/dev/null
	$(Q)xz --force $@.mini
	$(Q)objcopy -S --add-section .gnu_debugdata=$@.mini.xz $< $@
	$(Q)rm -f $@.keep $@.mini.xz

CXX_FLAGS := -std=gnu++17 -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin -pthread -Wall -Wextra -Werror
$(CPP_TRUTH:%=$(WORKLOADS_DIR)/bin/%): $(WORKLOADS_DIR)/truth_cpp.cc $(WORKLOADS_DIR)/workload.h $(WORKLOADS_DIR)/allocators.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(CXX_FLAGS) $< -o $@ $(TRUTH_LIBRARIES)
$(WORKLOADS_DIR)/bin/truth_cpp_jemalloc: TRUTH_LIBRARIES := -Wl,--no-as-needed -ljemalloc
$(WORKLOADS_DIR)/bin/truth_cpp_tcmalloc: TRUTH_LIBRARIES := -Wl,--no-as-needed -ltcmalloc_minimal
$(WORKLOADS_DIR)/bin/truth_cpp_mimalloc: TRUTH_LIBRARIES := -Wl,--no-as-needed -lmimalloc

RUSTC ?= /usr/bin/rustc
RUST_FLAGS := --edition 2021 -C opt-level=1 -g -C force-frame-pointers=yes
$(WORKLOADS_DIR)/bin/truth_rust: $(WORKLOADS_DIR)/truth_rust.rs
	$(Q)mkdir -p $(@D)
	$(Q)$(RUSTC) $(RUST_FLAGS) $< -o $@
$(WORKLOADS_DIR)/bin/truth_rust_jemalloc: $(WORKLOADS_DIR)/truth_rust.rs $(PREFIXED_JEMALLOC)
	$(Q)$(RUSTC) $(RUST_FLAGS) --cfg jemalloc -L $(WORKLOADS_DIR)/bin -l static=jemalloc_prefixed -l m $< -o $@

$(WORKLOADS_DIR)/bin/truth_swift: $(WORKLOADS_DIR)/truth_swift.swift
	$(Q)mkdir -p $(@D)
	$(Q)$(dir $(realpath $(shell command -v $(or $(SWIFT),swift))))swiftc -O -g $< -o $@

$(WORKLOADS_DIR)/bin/truth_go: $(WORKLOADS_DIR)/truth_go/main.go
	$(Q)mkdir -p $(@D)
	$(Q)cd $(WORKLOADS_DIR)/truth_go && GO111MODULE=off CGO_ENABLED=1 go build -o ../bin/truth_go main.go

# Stacks of every kind, without frame pointers, as programs are built.
STACKS_FLAGS := -std=gnu++17 -O2 -g -fomit-frame-pointer -pthread -Wall -Wextra -Werror
$(STACKS:%=$(WORKLOADS_DIR)/bin/%): $(WORKLOADS_DIR)/stacks.cc $(WORKLOADS_DIR)/allocators.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(STACKS_FLAGS) $< -o $@ $(STACKS_LINK)
$(WORKLOADS_DIR)/bin/stacks_static_pie: STACKS_LINK := -static-pie
