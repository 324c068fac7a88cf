# libdrip-sampler.so, into build/. Included by the Makefile; also stands alone, from the root of the repository:
# make -f sampler/build.mk sampler

SAMPLER := build/libdrip-sampler.so
SAMPLER_SOURCES := $(addprefix sampler/,draw.c table.c next.c countdown.c hooks.c operators.c probes.c)

# No function here may become another by the compiler's knowledge of malloc; the exceptions of operator new pass
# through; every symbol is bound at the start, not inside of somebody's malloc.
SAMPLER_CFLAGS := -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc \
	-fno-builtin-free -fexceptions -fasynchronous-unwind-tables -ftls-model=initial-exec -ffile-prefix-map=$(CURDIR)=. \
	$(if $(filter x86_64,$(shell uname -m)),-mno-red-zone) -Wall -Wextra -Werror -Isampler/include
SAMPLER_LDFLAGS := -shared -Wl,-soname,libdrip-sampler.so -Wl,-z,now -Wl,-z,relro -Wl,-z,defs -Wl,--no-undefined \
	-Wl,-z,nodelete

.PHONY: sampler
sampler: $(SAMPLER)

SAMPLER_OBJECTS := $(SAMPLER_SOURCES:sampler/%.c=build/sampler/%.o)

build/sampler/%.o: sampler/%.c sampler/sampler.h sampler/include/drip_sampler.h sampler/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SAMPLER_CFLAGS) -c $< -o $@

$(SAMPLER): $(SAMPLER_OBJECTS)
	$(Q)$(CC) $(SAMPLER_LDFLAGS) $^ -o $@

# The programs of the sampler's tests, beside the other workloads.
SAMPLER_BIN := Tests/Workloads/bin
SAMPLER_TEST_CFLAGS := -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-builtin -pthread -Wall -Wextra \
	-Werror -ITests/Workloads

.PHONY: sampler-workloads
sampler-workloads: $(addprefix $(SAMPLER_BIN)/,sampler_sites sampler_stress sampler_objects sampler_bump.so sampler_dlsym.so sampler_plugin.so)

$(SAMPLER_BIN)/sampler_%: Tests/Sampler/%.c Tests/Workloads/workload.h sampler/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(SAMPLER_TEST_CFLAGS) $< -o $@

$(SAMPLER_BIN)/sampler_%: Tests/Sampler/%.cc sampler/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++20 $(SAMPLER_TEST_CFLAGS) $< -o $@

$(SAMPLER_BIN)/sampler_bump.so $(SAMPLER_BIN)/sampler_dlsym.so: $(SAMPLER_BIN)/sampler_%.so: Tests/Sampler/%.c sampler/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(SAMPLER_TEST_CFLAGS) -fPIC -shared $< -o $@

$(SAMPLER_BIN)/sampler_plugin.so: Tests/Sampler/plugin.cc sampler/build.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++20 $(SAMPLER_TEST_CFLAGS) -fPIC -shared $< -o $@
