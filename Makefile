# drip: `make demo` and `make test` are the contract (README.md); the rest is for developers.
#
#   make demo     install what is missing, build, find a leak in a real program
#   make test     install what is missing, build, pass every test
#   make          build build/drip
#   make test-kernels  the tests of other kernels: Debian's 6.1 and 6.12, in qemu
#   make sampler  build build/libdrip-sampler.so, for LD_PRELOAD (docs/sampling.md)
#   make bench    paired benchmarks into docs/benchmarks.md (QUICK=1 for a short run)
#   make evaluate  how good the suspicions are, into docs/detection-evaluation.md (a quarter of an hour)
#   make evaluate-live  verdicts on real programs in real time, into docs/detection-live.md (half an hour)
#   make format   rewrite the sources by .swift-format;  make lint checks them
#   make docs     man pages and shell completions into build/
#   make install  PREFIX=/usr/local

SHELL := /bin/bash
SWIFT ?= swift
TOOLCHAIN = $(dir $(realpath $(shell command -v $(SWIFT))))
CLANG ?= $(TOOLCHAIN)clang
OBJCOPY ?= $(TOOLCHAIN)llvm-objcopy
ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
TRIPLE = $(shell gcc -print-multiarch 2>/dev/null || uname -m | sed 's/$$/-linux-gnu/')
PREFIX ?= /usr/local
Q := $(if $(V),,@)

BPF_CFLAGS = -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -D__KERNEL__ -O2 -g -std=gnu11 \
	-Wall -Wextra -Werror -Wno-unused-parameter -ffile-prefix-map=$(CURDIR)=. \
	-Ibpf -Ibpf/include -idirafter /usr/include/$(TRIPLE)
BPF_OBJECTS := $(patsubst bpf/%.bpf.c,bpf/build/%.bpf.o,$(wildcard bpf/*.bpf.c))

# What drip is built with, what its tests run on, in Debian's names.
BUILD_PACKAGES := gcc libc6-dev make pkg-config libbpf-dev libelf-dev libdw-dev libcapstone-dev zlib1g-dev \
	liblzma-dev libsqlite3-dev
TEST_PACKAGES := redis-server redis-tools nginx-light postgresql postgresql-contrib python3 golang-go tmux binutils \
	libjemalloc2 libc6-dbg procps util-linux g++ musl-tools libjemalloc-dev libgoogle-perftools-dev \
	libtcmalloc-minimal4 libmimalloc-dev libmimalloc2.0 rustc xz-utils debuginfod libc6-arm64-cross

# The Swift library is linked in, so that the binary runs where no Swift is installed.
SWIFT_FLAGS := --static-swift-stdlib
QUIET := $(if $(V),,--quiet)

.PHONY: all drip bpf bpf-other workloads demo test check-format lint format bench evaluate evaluate-live docs install install-build install-test clean
all: drip sampler

drip: install-build bpf
	$(Q)$(SWIFT) build $(QUIET) -c release $(SWIFT_FLAGS) --product drip
	$(Q)mkdir -p build && cp -f "$$($(SWIFT) build -c release $(SWIFT_FLAGS) --show-bin-path)/drip" build/drip

bpf: $(BPF_OBJECTS)

# The programs for the other machine that they are written for: compiled, and not embedded.
OTHER_ARCH := $(if $(filter x86,$(ARCH)),arm64,x86)
bpf-other: $(wildcard bpf/*.h bpf/include/*.h bpf/*.bpf.c) | bpf/build
	$(Q)for source in bpf/*.bpf.c; do \
		$(CLANG) $(subst TARGET_ARCH_$(ARCH),TARGET_ARCH_$(OTHER_ARCH),$(BPF_CFLAGS)) -c $$source -o bpf/build/other.o || exit 1; \
	done; rm -f bpf/build/other.o

bpf/build/%.bpf.o: bpf/%.bpf.c | bpf/build
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(OBJCOPY) --strip-debug $@
	$(Q)touch bpf/objects.c # which embeds it: SwiftPM does not look at what a file embeds

bpf/build:
	$(Q)mkdir -p $@

include Tests/Workloads/build.mk
include Tests/Guest/build.mk
include sampler/build.mk

demo: drip workloads
	$(Q)Tests/demo build/drip Tests/Workloads/bin

# The live tests run the very binary that users get; they find it through DRIP_BINARY.
test: install-test drip sampler sampler-workloads bpf-other workloads allocator-workloads guest-$(GUEST_QUICK) lint
	$(Q)DRIP_GUEST_KERNELS=$(GUEST_QUICK) DRIP_BINARY=$(CURDIR)/build/drip DRIP_WORKLOADS=$(CURDIR)/Tests/Workloads/bin \
		python3 Tests/run.py $(SWIFT) $(QUIET) --no-parallel

lint:
	$(Q)$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

format:
	$(Q)$(SWIFT) format --in-place --recursive Package.swift Sources Tests

include Benchmarks/build.mk

bench: drip bench-tools
	$(Q)python3 Benchmarks/bench.py --drip build/drip $(if $(QUICK),--quick) $(BENCH_FLAGS)

# The same file on every run; the CPU time of a verdict is printed.
evaluate:
	$(Q)$(SWIFT) build $(QUIET) -c release --product drip-evaluate
	$(Q)"$$($(SWIFT) build -c release --show-bin-path)/drip-evaluate" docs/detection-evaluation.md $(EVALUATE_FLAGS)

LIVE_MINUTES := 30
evaluate-live: install-test drip workloads
	$(call install_packages,libpython3.11-dev libsqlite3-dev)
	$(Q)/usr/bin/python3 Benchmarks/live/live.py --drip build/drip --minutes $(LIVE_MINUTES) --output docs/detection-live.md

docs: drip
	$(Q)mkdir -p build/completions
	$(Q)for shell in bash zsh fish; do build/drip --generate-completion-script $$shell > build/completions/drip.$$shell; done
	$(Q)$(SWIFT) package --disable-sandbox --allow-writing-to-package-directory generate-manual --multi-page >/dev/null
	$(Q)mkdir -p build/man && for page in .build/plugins/GenerateManual/outputs/drip/*.1; do \
		name=$$(basename $$page .1); cp $$page build/man/$${name//./-}.1; done

install: drip sampler
	install -D -m 755 build/drip $(DESTDIR)$(PREFIX)/bin/drip
	install -D -m 644 build/libdrip-sampler.so $(DESTDIR)$(PREFIX)/lib/libdrip-sampler.so
	$(Q)for page in build/man/*.1; do test ! -f $$page || \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man1/$$(basename $$page); done

# Asks dpkg, which is quick, and apt only for what is missing.
define install_packages
	$(Q)missing=(); for p in $(1); do \
		dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing+=($$p); done; \
	if (( $${#missing[@]} )); then \
		echo "installing $${missing[*]}"; \
		root=; (( EUID == 0 )) || root=sudo; \
		$$root apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	fi
endef

install-build:
	$(call install_packages,$(BUILD_PACKAGES))

install-test: install-build
	$(call install_packages,$(TEST_PACKAGES))

clean:
	rm -rf bpf/build build .build Tests/Workloads/bin

.DELETE_ON_ERROR:
-include $(BPF_OBJECTS:.o=.d)
