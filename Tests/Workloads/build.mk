# The workloads, built with frame pointers and debug information, into Tests/Workloads/bin.
WORKLOAD_SOURCES := $(filter-out Tests/Workloads/static_noalloc.c,$(wildcard Tests/Workloads/*.c))
WORKLOADS := $(patsubst Tests/Workloads/%.c,Tests/Workloads/bin/%,$(WORKLOAD_SOURCES)) \
	Tests/Workloads/bin/static_noalloc
WORKLOAD_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wno-unused-function -Wno-deprecated-declarations \
	-Wno-use-after-free -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin -pthread

workloads: $(WORKLOADS)

Tests/Workloads/bin/static_noalloc: Tests/Workloads/static_noalloc.c | Tests/Workloads/bin
	$(Q)gcc -O1 -nostdlib -static -ffreestanding -o $@ $<

Tests/Workloads/bin/%: Tests/Workloads/%.c Tests/Workloads/workload.h | Tests/Workloads/bin
	$(Q)gcc $(WORKLOAD_CFLAGS) -o $@ $<

Tests/Workloads/bin:
	$(Q)mkdir -p $@
