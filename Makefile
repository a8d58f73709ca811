# numavisor: the only entry point. `make` alone prints the help.
# Out-of-tree builds: O=DIR. Extra policies: POLICY_DIR=DIR (every .cpp in it is linked into kernel and host tools).
SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS  += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS  += -j$(shell nproc)
endif

O          ?= build
V          ?=
Q          := $(if $(V),,@)
say         = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')
POLICY_DIR ?=
CXX        := g++
CLANGXX    := clang++
HOST_OPT   ?= -O2
CLANG_OPT  ?= -O0

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-align -Wnon-virtual-dtor \
        -Woverloaded-virtual -Wzero-as-null-pointer-constant -Werror
GCC_WARN := -Wlogical-op -Wuseless-cast -Wsuggest-override
COMMON := -std=c++20 -I. -MMD -MP $(WARN)
# Frames: a set of up to 4096 pCPUs takes 520 bytes, and a pick needs several. General registers only: the kernel neither saves nor touches vector state. Frame pointers are for backtraces.
KERNEL_FLAGS := $(COMMON) -g -Iarch/x86_64/include -O2 -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics \
        -mno-red-zone -march=x86-64-v2 -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pic -no-pie \
        -mcmodel=kernel -fcf-protection=none -fno-omit-frame-pointer -fno-optimize-sibling-calls -ffunction-sections -fdata-sections
KERNEL_CXX := $(CXX) $(KERNEL_FLAGS) $(GCC_WARN) -mgeneral-regs-only -Wframe-larger-than=4096
# What runs in ring 3: like the kernel, but it may use all registers.
GUEST_CXX := $(CXX) $(COMMON) -g -O2 -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -march=x86-64-v2 -fno-stack-protector \
        -fno-asynchronous-unwind-tables -fno-pic -no-pie -fcf-protection=none -ffunction-sections -fdata-sections $(GCC_WARN)
HOST_FLAGS := $(COMMON) -g1 $(GCC_WARN) -Iarch/host/include -pthread

ASAN := $(CXX) $(HOST_FLAGS) -DHV_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN := $(CXX) $(HOST_FLAGS) -DHV_DEBUG -O1 -fsanitize=thread
CLANG := $(CLANGXX) $(COMMON) -Wno-zero-as-null-pointer-constant -Iarch/host/include -pthread $(CLANG_OPT)
TSA := $(CLANGXX) $(KERNEL_FLAGS) -mno-sse -Wno-unused-command-line-argument -Wno-zero-as-null-pointer-constant -Wthread-safety \
        -Wthread-safety-beta -DHV_DEBUG -fsyntax-only

policy_dir_src := $(if $(POLICY_DIR),$(wildcard $(POLICY_DIR)/*.cpp))
shared_src := $(sort $(wildcard arch/generic/*.cpp mm/*.cpp sched/*.cpp sched/*/*.cpp boot/acpi/*.cpp boot/scenario/*.cpp \
        boot/info/*.cpp boot/hypercall/*.cpp boot/console/*.cpp)) $(policy_dir_src)
kernel_src := $(shared_src) $(sort $(wildcard arch/x86_64/*.cpp boot/*.cpp))
guest_src  := $(sort $(wildcard guest/*.cpp)) sched/guest/workload.cpp
kernel_asm := $(sort $(wildcard arch/x86_64/*.S boot/*.S))
ktest_src  := $(sort $(wildcard tests/kernel/*.cpp))
sabotage_src := $(sort $(wildcard tests/kernel/sabotage/*.cpp))
host_src   := $(shared_src) $(sort $(wildcard arch/host/*.cpp))
nv_src     := $(sort $(wildcard tools/nv/*.cpp))
nv_lib_src := $(filter-out tools/nv/main.cpp,$(nv_src))
unit_src   := $(sort $(wildcard tests/unit/*.cpp tests/unit/*/*.cpp tests/conformance/*.cpp tests/fuzz/*.cpp)) $(sort $(wildcard tests/support/*.cpp))
fuzz_src   := $(filter-out tests/fuzz/corpus_test.cpp,$(sort $(wildcard tests/fuzz/*.cpp tests/fuzz/driver/*.cpp))) tests/support/assert_host.cpp
sched_src  := $(sort $(wildcard sched/*.cpp sched/*/*.cpp)) $(policy_dir_src)
explorer_src := $(sort $(wildcard tests/explorer/*.cpp tests/explorer/runtime/*.cpp))
bench_src  := $(sort $(wildcard tests/bench/*.cpp)) tests/support/assert_host.cpp
stress_src := $(sort $(wildcard tests/stress/*.cpp)) tests/support/assert_host.cpp

# objects FLAVOUR,SOURCES: where the objects of a build flavour live.
objects = $(patsubst %,$(O)/$(1)/%.o,$(2))

# Batches: compiling a source is mostly reading headers, so that up to eight files of a folder are compiled as one
# (scripts/compile-batch), except for unit, which is there to debug, and for what is measured. $(1): the folder; $(2): its files that are left; $(3): which one, i, ii, iii...
define batch
batch_$(1)/$(3) := $(wordlist 1,8,$(2))
batches_$(1) += $(1)/$(3)
$(if $(word 9,$(2)),$(call batch,$(1),$(wordlist 9,9999,$(2)),$(3)i))
endef
in_folder = $(foreach f,$(2),$(if $(filter $(1),$(dir $(f))),$(f)))
# Not batched: what only some programs link, what declares functions of the C library, what uses a namespace's names as its own.
alone := $(policy_dir_src) tools/nv/main.cpp tests/support/% tests/conformance/random_scenario.cpp arch/x86_64/runtime.cpp tests/kernel/memory_cost_test.cpp
batched_src := $(filter-out $(alone),$(kernel_src) $(ktest_src) $(sabotage_src) $(host_src) $(nv_src) $(unit_src) $(stress_src) $(explorer_src))
$(foreach d,$(sort $(dir $(batched_src))),$(eval $(call batch,$(d:/=),$(sort $(call in_folder,$(d),$(batched_src))),i)))
# batched FLAVOUR,SOURCES: their objects; SOURCES are all that is batched in their folders.
batched = $(foreach d,$(sort $(dir $(filter $(batched_src),$(2)))),$(patsubst %,$(O)/$(1)/batches/%.o,$(batches_$(d:/=)))) \
        $(call objects,$(1),$(filter-out $(batched_src),$(2)))
.PHONY: always
always:
.PRECIOUS: $(O)/batches/%.cpp
$(O)/batches/%.cpp: always
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(batch_$*) | cmp -s - $@ || printf '#include "%s"\n' $(batch_$*) >$@

# ---------------------------------------------------------------------------------------------------------------- compile
$(O)/kernel/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(KERNEL_CXX) -c $< -o $@
$(O)/kernel/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(KERNEL_CXX)
$(O)/kernel-debug/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(KERNEL_CXX) -DHV_DEBUG -c $< -o $@
$(O)/kernel-debug/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(KERNEL_CXX) -DHV_DEBUG
$(O)/kernel/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CXX) -I. -Wa,-I$(O) -g -MMD -MP -c $< -o $@
# (Two targets in one pattern rule would mean that one run makes both.)
$(O)/kernel-debug/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CXX) -I. -Wa,-I$(O) -g -MMD -MP -c $< -o $@
# The program of all VMs, which the kernel carries with it.
$(O)/guest/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(GUEST_CXX) -c $< -o $@
$(O)/guest/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CXX) -I. -g -MMD -MP -c $< -o $@
$(O)/guest.bin: $(call objects,guest,guest/start.S $(guest_src) arch/x86_64/runtime.cpp) guest/guest.ld
	$(call say,LINK,$@)
	$(Q)ld -nostdlib -static --build-id=none --gc-sections -z noexecstack -T guest/guest.ld $(filter %.o,$^) -o $(@:.bin=.elf)
	$(Q)objcopy -O binary --only-section=.image $(@:.bin=.elf) $@
$(O)/kernel/boot/guest_image.S.o $(O)/kernel-debug/boot/guest_image.S.o: $(O)/guest.bin
# host: as fast as it gets, for nv. unit: with all assertions, to debug. asan, tsan: with all assertions and a sanitizer.
$(O)/host/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(HOST_FLAGS) $(HOST_OPT) -c $< -o $@
# (Batched is only tools/nv: what it simulates is compiled as in the kernel, file by file.)
$(O)/host/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(CXX) $(HOST_FLAGS) $(HOST_OPT)
# bench: to count instructions, without any assertion.
$(O)/bench/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(HOST_FLAGS) -O2 -DHV_NO_ASSERT -c $< -o $@
$(O)/unit/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(HOST_FLAGS) -DHV_DEBUG -O1 -c $< -o $@
$(O)/asan/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(ASAN) -O1 -c $< -o $@
$(O)/asan/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(ASAN) -O1
# The tests' own code and the host command take long to compile and little time to run. The tests' is only looked at for bad accesses.
$(O)/asan/batches/tests/%.o: $(O)/batches/tests/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(ASAN) -fno-sanitize=undefined -Og
$(O)/asan/batches/tools/%.o: $(O)/batches/tools/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(ASAN) -fno-sanitize=null,alignment,object-size,vptr -Og
$(O)/tsan/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(TSAN) -c $< -o $@
$(O)/tsan/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(TSAN)
# explorer: ThreadSanitizer's calls, answered by tests/explorer/runtime, which is compiled without them.
EXPLORER := $(CXX) $(subst -Iarch,-Itests/explorer/include -Iarch,$(HOST_FLAGS)) -DHV_DEBUG
$(O)/explorer-build/batches/tests/explorer/runtime/%.o: $(O)/batches/tests/explorer/runtime/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(EXPLORER) -O2
$(O)/explorer-build/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)scripts/compile-batch $@ $< $(EXPLORER) -O1 -fsanitize=thread --param tsan-instrument-func-entry-exit=0
# clang: another compiler and no optimisation, to show that a simulation's bytes depend on neither.
$(O)/clang/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CLANG,$@)
	$(Q)$(CLANG) -c $< -o $@
$(O)/clang/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,CLANG,$@)
	$(Q)scripts/compile-batch $@ $< $(CLANG)
# fuzz: for libFuzzer.
$(O)/fuzz/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CLANG,$@)
	$(Q)$(CLANGXX) $(COMMON) -Wno-zero-as-null-pointer-constant -Iarch/host/include -pthread -DHV_DEBUG -g1 -O1 \
	    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -c $< -o $@
# Thread-safety analysis: clang reads every file of the kernel and generates nothing. (clang 14 takes a defaulted <=> for
# a null pointer written as 0.)
$(O)/tsa/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,TSA,$@)
	$(Q)$(TSA) -MF $(@:.o=.d) -MT $@ $<
	@touch $@
$(O)/tsa/batches/%.o: $(O)/batches/%.cpp scripts/compile-batch
	@mkdir -p $(@D)
	$(call say,TSA,$@)
	$(Q)scripts/compile-batch $@ $< $(TSA)

# ------------------------------------------------------------------------------------------------------------------- link
# The kernel with all assertions is for tests alone. In the other one only its self-tests are batched: what is measured and
# shipped is compiled file by file.
batched_in_kernel-debug = $(kernel_src)
define kernel_image
$(O)/$(1).elf: $(call objects,$(2),$(filter-out $(batched_in_$(2)),$(kernel_src)) $(kernel_asm)) $(call batched,$(2),$(batched_in_$(2)) $(3)) \
        arch/x86_64/kernel.ld scripts/link-kernel
	$$(call say,LINK,$$@)
	$$(Q)scripts/link-kernel $$@ arch/x86_64/kernel.ld $$(filter %.o,$$^)
endef
$(eval $(call kernel_image,numavisor,kernel,$(ktest_src)))
$(eval $(call kernel_image,numavisor-debug,kernel-debug,$(ktest_src)))
$(eval $(call kernel_image,sabotage,kernel-debug,$(ktest_src) $(sabotage_src)))
# A policy is one new file: this image has one more than the product, and no other file knows of it.
$(eval $(call kernel_image,extra-policy,kernel,$(ktest_src) $(wildcard tests/policies/*.cpp)))

# What nv loads into QEMU. nv looks for it in its own folder.
$(O)/take_turns.so: tools/turns/take_turns.cpp
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(COMMON) $(GCC_WARN) -O2 -fPIC -shared $< -o $@
$(O)/nv: | $(O)/take_turns.so $(O)/timeline.html
# The page of nv trace html, without a trace: our script and style, and the library that they use, in one file.
page_src := tools/page/style.css tools/page/stream.js tools/page/model.js tools/page/draw.js tools/page/panels.js tools/page/timeline.js tools/page/main.js
D3 ?= /usr/share/nodejs/d3/dist/d3.min.js
$(O)/timeline.html: tools/page/page.html $(page_src)
	@mkdir -p $(@D)
	$(call say,PAGE,$@)
	$(Q)sed $(foreach f,$(page_src),-e '/@$(notdir $(f))@/{r $(f)' -e 'd}') -e '/@d3@/{r $(D3)' -e 'd}' $< >$@.part
	$(Q)grep -q d3js.org $@.part || { echo "numavisor: $(D3) is missing; install it with: scripts/install-deps run" >&2; exit 1; }
	$(Q)mv $@.part $@
# (nv ab takes over objects from here if it knows what they were made of.)
$(O)/nv: $(call objects,host,$(host_src) tools/nv/main.cpp tests/support/assert_host.cpp) $(call batched,host,$(nv_lib_src))
	$(call say,LINK,$@)
	@echo '$(CURDIR)$(if $(filter-out file,$(origin HOST_OPT)), with other options)' >$(O)/built-from
	$(Q)$(CXX) -pthread $^ -lfmt -lz -o $@
$(O)/nv-clang: $(call batched,clang,$(host_src) $(nv_src) tests/support/assert_host.cpp)
	$(call say,LINK,$@)
	$(Q)$(CLANGXX) -pthread $^ -lfmt -lz -o $@
$(O)/unit-host: $(call objects,unit,$(host_src) $(nv_lib_src) $(unit_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread $^ -lgtest -lgtest_main -lfmt -lz -o $@
$(O)/unit-asan: $(call batched,asan,$(host_src) $(nv_lib_src) $(unit_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread -fsanitize=address,undefined $^ -lgtest -lgtest_main -lfmt -lz -o $@
# The part of unit-asan that is about the scheduler. tests/museum changes one file of the scheduler and links it anew, so these are not batched.
unit_sched_tests := $(filter tests/unit/sched/% tests/unit/regressions/% tests/conformance/% tests/support/%,$(unit_src))
unit_sched_single := $(sort $(wildcard sched/*.cpp sched/credit/*.cpp sched/numacredit/*.cpp))
$(O)/unit-sched: $(call batched,asan,$(filter-out $(unit_sched_single),$(host_src)) $(nv_lib_src) $(unit_sched_tests)) $(call objects,asan,$(unit_sched_single))
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread -fsanitize=address,undefined $^ -lgtest -lgtest_main -lfmt -lz -o $@
$(O)/adversary: $(call objects,host,$(host_src) $(sort $(wildcard tests/adversary/*.cpp)) tests/support/sim_fixture.cpp tests/support/assert_host.cpp)
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread $^ -lgtest -lfmt -o $@
$(O)/stress-tsan: $(call batched,tsan,$(host_src) $(stress_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread -fsanitize=thread $^ -lgtest -lgtest_main -o $@

# An address has to mean the same place in every run.
$(O)/explorer: $(call batched,explorer-build,$(explorer_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) -no-pie -pthread $^ -lfmt -o $@

$(O)/fuzz-targets: $(call objects,fuzz,$(host_src) $(nv_lib_src) $(fuzz_src))
	$(call say,LINK,$@)
	$(Q)$(CLANGXX) -pthread -fsanitize=fuzzer,address,undefined $^ -lfmt -lz -o $@

# -z now: else the first call of a library's function counts as a thousand instructions, its look-up.
$(O)/bench-micro: $(call objects,bench,$(sched_src) arch/host/machine_shape.cpp $(bench_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread -Wl,-z,now $^ -o $@

$(O)/bench-mm: $(call objects,bench,$(sort $(wildcard mm/*.cpp tests/bench/mm/*.cpp)) tests/support/assert_host.cpp)
	$(call say,LINK,$@)
	$(Q)$(CXX) -pthread -Wl,-z,now $^ -o $@

# ---------------------------------------------------------------------------------------------------------------- targets
.PHONY: help run test page-test ab-test museum explore soak same-bytes adversary fuzz kernel check bench bench-micro bench-mm bench-kernel clean
help:
	@sed -n 's/^#: //p' Makefile

#: numavisor: a NUMA microhypervisor built around one virtual-CPU scheduler
#:
#: make run      boot a two-node machine three times (no affinity, pinning, NUMA-aware) and compare; on a terminal
#:               then once more, live, with its console
#: make test     every test, on the host and booted; ends with "N passed, N failed"
#: make kernel   the bootable image, build/numavisor.elf
#: make iso      the same on a CD that GRUB boots, build/numavisor.iso (ISO_OPTIONS="..." ISO_SCENARIO=FILE.json)
#: make page-test  the page of nv trace html in a browser: installs Chromium (350 MB)
#: make ab-test  nv ab on changes whose effect is known, and the commands of the manual's pages about it
#: make museum   faults that Xen's scheduler once had, brought back one by one: the suite must notice each (MUSEUM="-k NAME")
#: make explore  small scenarios of the scheduler, in all orders with up to three preemptions, then at random; work conservation from all
#:               states of a small machine; and locks and orders left out, each of which must be noticed
#: make soak     what is too long for test: ten minutes of scheduler storms on real threads, then storms in which ten
#:               thousand domains end and a thousand pCPUs leave under each policy, ten million operations of the
#:               page allocator, mutants that tests must notice
#: make adversary  ten thousand strategies of sleeping, waking and yielding, none of which may get a vCPU more than its share
#: make same-bytes  simulations from g++ and clang, -O0 and -O2 (test has two of the four)
#: make fuzz     every fuzz target for a minute (FUZZ_SECONDS=60)
#: make check    static checks only: floors, symbols, thread-safety analysis
#: make bench    the reference table: 27 cells and a control, simulated; build/bench.html, build/bench.svg (docs/reference-table.md)
#: make bench-micro  instructions per decision, beside upstream's and numacredit's bars (docs/instructions.md)
#: make bench-mm  instructions per page allocated, beside a plain buddy's (docs/memory.md)
#: make bench-kernel  instructions of a switch between two VMs and of a hypercall, booted (docs/instructions.md)
#: make clean    remove build/
#: make help     this text
#:
#: V=1 shows the commands; O=DIR builds elsewhere; POLICY_DIR=DIR adds the scheduling policies found there.

# What these targets need is installed, where it is missing, before anything is compiled.
needs := $(or $(filter iso,$(MAKECMDGOALS)),$(filter fuzz,$(MAKECMDGOALS)),$(filter test soak explore museum same-bytes adversary,$(MAKECMDGOALS)),$(if $(filter run bench bench-kernel,$(MAKECMDGOALS)),run),$(filter bench-micro bench-mm,$(MAKECMDGOALS)))
needs := $(if $(filter page-test,$(MAKECMDGOALS)),page,$(firstword $(patsubst same-bytes,test,$(patsubst museum,test,$(patsubst explore,test,$(patsubst adversary,test,$(needs:soak=test)))))))
ifneq ($(needs),)
ifneq ($(shell scripts/install-deps $(needs) >&2 && echo ready),ready)
$(error packages are missing, see above)
endif
endif

kernel: $(O)/numavisor.elf

# Always made anew: what is on it depends on variables.
.PHONY: iso
iso: $(O)/numavisor.elf $(if $(ISO_SCENARIO),$(O)/nv)
	$(if $(ISO_SCENARIO),@$(O)/nv pack $(ISO_SCENARIO) -o $(O)/iso-scenario.img)
	@scripts/make-iso $(O)/numavisor.iso $< '$(ISO_OPTIONS)' $(if $(ISO_SCENARIO),$(O)/iso-scenario.img)
	@echo "$(O)/numavisor.iso: qemu-system-x86_64 -M q35 -smp 4 -m 1G -cpu max -nodefaults -nographic -serial stdio -cdrom $(O)/numavisor.iso"

run: $(O)/numavisor.elf $(O)/nv
	@$(O)/nv run --kernel $(O)/numavisor.elf --out $(O)/out --compare --console-after \
	    tests/scenarios/two-nodes-noaff.json tests/scenarios/two-nodes-pinned.json tests/scenarios/two-nodes-nodeaff.json

test: $(O)/numavisor.elf $(O)/numavisor-debug.elf $(O)/sabotage.elf $(O)/extra-policy.elf $(O)/nv $(O)/nv-clang $(O)/unit-asan $(O)/stress-tsan $(O)/adversary $(O)/explorer check
	@scripts/run-tests $(O)

page-test: $(O)/nv
	@scripts/run-tests --page $(O)

ab-test: $(O)/nv $(O)/numavisor.elf
	tests/ab/ab.py --nv $(O)/nv
	tests/ab/tutorial.py --nv $(O)/nv docs/tutorial.md docs/upstream-patch.md

museum: $(O)/unit-sched $(O)/nv $(O)/stress-tsan
	@tests/museum/museum.py $(MUSEUM) $(O)

# What waking, stealing, migrating and leaving come down to, to the end; the long ones one preemption less.
explore_deep := block-notify block-twice wake-steal wake-idle wakes-idle steal-steal yield-steal migrate-block migrate-wake migrate-steal leave-wake return-wake pause-block \
        double-wake pull pull-twice uncap cap-account last-accounts tick-wake
explore: $(O)/explorer
	$< --preemptions 3 $(explore_deep)
	$< --preemptions 2 --random 20000
	$< --states 1
	tests/explorer/mutants.py $(O)

soak: explore $(O)/stress-tsan $(O)/unit-host
	NV_STORM_SECONDS=600 $(O)/stress-tsan --gtest_filter='*Storm*-*Larger*'
	NV_STORM_SEEDS=20 NV_STORM_DEATHS=500 $(O)/stress-tsan --gtest_filter='*Storm*Larger*'
	NV_ROOT=$(CURDIR) NV_MM_OPERATIONS=10000000 NV_VM_ROUNDS=1000 $(O)/unit-host --gtest_filter='MemoryModel*:VmRounds*'
	tests/mutants/mm.py $(O)/mutants
	tests/mutants/traces.py $(O)

same-bytes: $(O)/nv $(O)/nv-clang
	@$(MAKE) O=$(O)/other HOST_OPT=-O0 CLANG_OPT=-O2 $(O)/other/nv $(O)/other/nv-clang
	@scripts/run-tests -k "same bytes from" --other $(O)/other $(O)

adversary: $(O)/adversary
	$< --strategies 10000

fuzz: $(O)/fuzz-targets
	@scripts/fuzz --seconds $(or $(FUZZ_SECONDS),60) $<

check: $(call batched,tsa,$(kernel_src) $(ktest_src)) $(call objects,kernel,$(shared_src)) $(call batched,kernel-debug,$(shared_src))
	@scripts/check-floors
	@scripts/check-symbols $(call objects,kernel,$(shared_src))
	@scripts/check-symbols $(call batched,kernel-debug,$(shared_src))

bench: $(O)/nv
	@$(O)/nv bench --html $(O)/bench.html --svg $(O)/bench.svg

bench-micro: $(O)/bench-micro
	@scripts/bench-micro $<
	@scripts/bench-micro --policy numacredit $<

bench-mm: $(O)/bench-mm
	@scripts/bench-mm $<

bench-kernel: $(O)/numavisor.elf $(O)/nv
	@for test in vm_switch vm_null; do \
	    $(O)/nv run --kernel $< --machine-only --out $(O)/out tests/scenarios/boot-2x4.json --selftest=$$test | grep '^# ring\|^not ok'; done

clean:
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
