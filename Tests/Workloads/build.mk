# The C programs that the tests and the demo watch, into Tests/Workloads/bin. Included by the Makefile; also stands
# alone, from the root of the repository: make -f Tests/Workloads/build.mk workloads

WORKLOADS_DIR := Tests/Workloads
WORKLOADS := $(patsubst $(WORKLOADS_DIR)/%.c,$(WORKLOADS_DIR)/bin/%,$(wildcard $(WORKLOADS_DIR)/*.c))

# Every function is a frame that a walk by frame pointers finds, and malloc is called, not folded away.
WORKLOAD_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin -pthread \
	-Wall -Wextra -Werror
WORKLOAD_LDFLAGS :=

include $(WORKLOADS_DIR)/allocators.mk

# Four libraries of one source: functions of other names, blocks of other sizes.
MODULES := $(patsubst %,$(WORKLOADS_DIR)/bin/module_%.so,a b c d)
MODULE_SIZE_a := 1000
MODULE_SIZE_b := 2000
MODULE_SIZE_c := 3000
MODULE_SIZE_d := 4000

.PHONY: workloads allocator-workloads
workloads: $(WORKLOADS) $(WORKLOADS_DIR)/bin/plugin.so $(MODULES) $(WORKLOADS_DIR)/bin/forgetful.so $(WORKLOADS_DIR)/bin/pairs_debug_frame \
	$(WORKLOADS_DIR)/bin/pairs_sframe $(WORKLOADS_DIR)/bin/pairs_frame_pointers
$(patsubst %,$(WORKLOADS_DIR)/bin/%,crowd forker): $(WORKLOADS_DIR)/children.h
# Apart, for they need what only the tests install.
allocator-workloads: $(ALLOCATOR_WORKLOADS) $(WORKLOADS_DIR)/bin/plugin_mimalloc.so

$(WORKLOADS_DIR)/bin/%: $(WORKLOADS_DIR)/%.c $(WORKLOADS_DIR)/workload.h $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WORKLOAD_CFLAGS) $< -o $@ $(WORKLOAD_LDFLAGS)

$(WORKLOADS_DIR)/bin/plugin.so: $(WORKLOADS_DIR)/plugins/plugin.c $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -fomit-frame-pointer -fPIC -shared -Wall -Wextra -Werror $< -o $@

$(WORKLOADS_DIR)/bin/forgetful.so: $(WORKLOADS_DIR)/plugins/forgetful.c $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -fPIC -shared -fno-optimize-sibling-calls -Wall -Wextra -Werror $< -o $@ -ldl

$(WORKLOADS_DIR)/bin/plugin_mimalloc.so: $(WORKLOADS_DIR)/plugins/plugin_mimalloc.c $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -fomit-frame-pointer -fPIC -shared -Wall -Wextra -Werror $< -o $@ -lmimalloc

$(WORKLOADS_DIR)/bin/module_%.so: $(WORKLOADS_DIR)/plugins/module.c $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -fomit-frame-pointer -fPIC -shared -Wall -Wextra -Werror -DNAME=$* -DSIZE=$(MODULE_SIZE_$*) \
		$< -o $@ -ldl

# Programs whose own code can be unwound in one way only: by .debug_frame, by .sframe, by frame pointers.
PAIRS_CFLAGS := $(filter-out -fno-omit-frame-pointer,$(WORKLOAD_CFLAGS))
NO_TABLES := -fno-asynchronous-unwind-tables -fno-unwind-tables

$(WORKLOADS_DIR)/bin/pairs_debug_frame: $(WORKLOADS_DIR)/pairs.c $(WORKLOADS_DIR)/workload.h $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PAIRS_CFLAGS) -fomit-frame-pointer $(NO_TABLES) $< -o $@

$(WORKLOADS_DIR)/bin/pairs_sframe: $(WORKLOADS_DIR)/pairs.c $(WORKLOADS_DIR)/workload.h $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PAIRS_CFLAGS) -fomit-frame-pointer -Wa,--gsframe $< -o $@.whole
	$(Q)objcopy --remove-section .eh_frame --remove-section .eh_frame_hdr $@.whole $@
	$(Q)rm $@.whole

$(WORKLOADS_DIR)/bin/pairs_frame_pointers: $(WORKLOADS_DIR)/pairs.c $(WORKLOADS_DIR)/workload.h $(WORKLOADS_DIR)/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PAIRS_CFLAGS) -fno-omit-frame-pointer $(NO_TABLES) -g0 $< -o $@.whole
	$(Q)objcopy --remove-section .eh_frame --remove-section .eh_frame_hdr $@.whole $@
	$(Q)rm $@.whole

# The demo is built as a real program is.
$(WORKLOADS_DIR)/bin/leaky_server: WORKLOAD_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -Wall -Wextra -Werror
$(WORKLOADS_DIR)/bin/behaviours: $(WORKLOADS_DIR)/behaviours.h
$(WORKLOADS_DIR)/bin/behaviours: WORKLOAD_LDFLAGS := -lm
$(WORKLOADS_DIR)/bin/static_malloc: WORKLOAD_LDFLAGS := -static
# No C library, so no start code and no stack protector's guard either.
$(WORKLOADS_DIR)/bin/static_noalloc: WORKLOAD_LDFLAGS := -static -nostdlib -fno-stack-protector
$(WORKLOADS_DIR)/bin/sampling_host: bpf/sampling.bpf.h
