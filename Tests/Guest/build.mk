# Guests with Debian's kernels (docs: Tests/Guest/README.md), in build/guest. Included by the Makefile.

GUEST_DIR := Tests/Guest
GUEST := build/guest
# Those of the matrix, and the one that `make test` boots.
GUEST_SERIES := 6.1 6.12
GUEST_QUICK := 6.1
GUEST_PACKAGES := qemu-system-x86 busybox-static cpio
GUEST_TOOLS := $(addprefix $(GUEST)/tools/,drip truth proginfo hostport flood no_frame_pointers checks)
GUEST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror

.PHONY: test-kernels install-guest guest-tools $(GUEST_SERIES:%=guest-%)

# Every kernel of the matrix, and the running one beside them.
test-kernels: drip workloads $(GUEST_SERIES:%=guest-%)
	$(Q)DRIP_GUEST_KERNELS="$(GUEST_SERIES) host" $(SWIFT) test $(QUIET) --no-parallel --filter '^GuestTests\.'

# Whatever cannot be had here is a reason to skip these tests, which say so; it does not stop the others.
install-guest:
	-$(call install_packages,$(GUEST_PACKAGES))

guest-tools: $(GUEST_TOOLS)

# Status 3: the archive has no such kernel; the reason is in the directory's file "missing".
$(GUEST_SERIES:%=guest-%): guest-%: install-guest guest-tools
	$(Q)$(GUEST_DIR)/kernel $* $(GUEST)/kernels/$* || test $$? = 3
	$(Q)test ! -e $(GUEST)/kernels/$*/complete || $(MAKE) $(if $(V),,-s) $(GUEST)/kernels/$*/module/dripleak.ko

# Without BTF of its own, which would need more tools and serves nobody here.
$(GUEST)/kernels/%/module/dripleak.ko: $(GUEST_DIR)/module/dripleak.c $(GUEST_DIR)/module/Kbuild
	$(Q)mkdir -p $(@D) && cp $^ $(@D)
	$(Q)$(MAKE) -s -C $(GUEST)/kernels/$*/headers M=$(CURDIR)/$(@D) CONFIG_DEBUG_INFO_BTF_MODULES= modules

# A smaller initramfs is unpacked sooner; the code is the same.
$(GUEST)/tools/drip: drip
	$(Q)mkdir -p $(@D)
	$(Q)strip -o $@ build/drip

$(GUEST)/tools/truth: $(WORKLOADS_DIR)/bin/truth
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(GUEST)/tools/proginfo $(GUEST)/tools/hostport $(GUEST)/tools/flood: $(GUEST)/tools/%: $(GUEST_DIR)/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -static -pthread $< -o $@

$(GUEST)/tools/no_frame_pointers: $(GUEST_DIR)/no_frame_pointers.c $(WORKLOADS_DIR)/workload.h
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -fomit-frame-pointer -fno-builtin -I$(WORKLOADS_DIR) $< -o $@

$(GUEST)/tools/checks: $(GUEST_DIR)/checks
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@
