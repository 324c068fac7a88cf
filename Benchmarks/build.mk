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
