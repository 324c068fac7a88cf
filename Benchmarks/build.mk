# The programs that the benchmarks need, into build/bench. Stands alone (`make -f Benchmarks/build.mk`, from
# the root of the repository) and can be included by the Makefile.

SWIFT ?= swift
CLANG ?= $(dir $(realpath $(shell command -v $(SWIFT))))clang

BENCH_DIR    := build/bench
BENCH_ARCH   := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
BENCH_TRIPLE := $(shell $(CC) -print-multiarch)
BENCH_BPF_CFLAGS := -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BENCH_ARCH) -D__KERNEL__ -O2 -g -std=gnu11 \
	-Wall -Wextra -Werror -idirafter /usr/include/$(BENCH_TRIPLE)
BENCH_CFLAGS := -O2 -g -std=gnu11 -Wall -Wextra -Werror

.PHONY: bench-tools
bench-tools: $(addprefix $(BENCH_DIR)/,naive naive.bpf.o empty empty.bpf.o pair)

$(BENCH_DIR):
	$(Q)mkdir -p $@

$(BENCH_DIR)/%.bpf.o: Benchmarks/%.bpf.c | $(BENCH_DIR)
	$(Q)$(CLANG) $(BENCH_BPF_CFLAGS) -c $< -o $@

$(BENCH_DIR)/naive $(BENCH_DIR)/empty: $(BENCH_DIR)/%: Benchmarks/%.c | $(BENCH_DIR)
	$(Q)$(CC) $(BENCH_CFLAGS) $< -lbpf -o $@

# Frame pointers and no tail calls: the depth asked for is the depth that a stack walk finds, and malloc is
# called, not folded away.
$(BENCH_DIR)/pair: Benchmarks/workloads/pair.c | $(BENCH_DIR)
	$(Q)$(CC) $(BENCH_CFLAGS) -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin $< -o $@

# Both before the allocator.
.PHONY: bench-sampler
bench-sampler: $(BENCH_DIR)/pair $(BENCH_DIR)/null_interposer.so

$(BENCH_DIR)/null_interposer.so: Benchmarks/workloads/null_interposer.c | $(BENCH_DIR)
	$(Q)$(CC) $(BENCH_CFLAGS) -fno-builtin -fPIC -shared $< -o $@

# A C++ program with 200 MiB of debug information, and a copy of it without any. One unit is compiled; the others are
# its assembly with other names.
LARGE_UNITS := $(shell seq 10 33)
LARGE_FLAGS := -std=c++20 -O1 -g -Wall

.PHONY: bench-symbols
bench-symbols: $(BENCH_DIR)/large $(BENCH_DIR)/large-stripped
	$(Q)$(SWIFT) build --quiet -c release --static-swift-stdlib --product symbol-bench
	$(Q)cp -f "$$($(SWIFT) build -c release --static-swift-stdlib --show-bin-path)/symbol-bench" $(BENCH_DIR)/

$(BENCH_DIR)/large.s: Benchmarks/workloads/large.cc | $(BENCH_DIR)
	$(Q)$(CXX) $(LARGE_FLAGS) -DUNIT=10 -DDEPTH=8 -S $< -o $@

$(BENCH_DIR)/large-%.o: $(BENCH_DIR)/large.s
	$(Q)sed 's/unit_10/unit_$*/g; s/run_10/run_$*/g' $< | $(AS) - -o $@

$(BENCH_DIR)/large: Benchmarks/workloads/large_main.cc $(LARGE_UNITS:%=$(BENCH_DIR)/large-%.o)
	$(Q)$(CXX) $(LARGE_FLAGS) -rdynamic '-DUNITS=${LARGE_UNITS:%=U(%)}' $^ -o $@

# What it exports keeps its names.
$(BENCH_DIR)/large-stripped: $(BENCH_DIR)/large
	$(Q)strip -o $@ $<
