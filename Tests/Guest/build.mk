# What the guests run, into build/guest. Included by the Makefile.

GUEST_DIR := Tests/Guest
GUEST := build/guest
GUEST_SERIES := 6.1 6.12
GUEST_TOOLS := $(GUEST)/tools/drip $(GUEST)/tools/truth $(GUEST)/tools/proginfo $(GUEST)/tools/no_frame_pointers \
	$(GUEST)/tools/checks
GUEST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror

.PHONY: guest-tools
guest-tools: $(GUEST_TOOLS)

# A smaller initramfs is unpacked sooner; the code is the same.
$(GUEST)/tools/drip: build/drip
	$(Q)mkdir -p $(@D)
	$(Q)strip -o $@ $<

$(GUEST)/tools/truth: $(WORKLOADS_DIR)/bin/truth
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(GUEST)/tools/proginfo: $(GUEST_DIR)/proginfo.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -static $< -o $@

$(GUEST)/tools/no_frame_pointers: $(GUEST_DIR)/no_frame_pointers.c $(WORKLOADS_DIR)/workload.h
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -fomit-frame-pointer -fno-builtin -I$(WORKLOADS_DIR) $< -o $@

$(GUEST)/tools/checks: $(GUEST_DIR)/checks
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@
