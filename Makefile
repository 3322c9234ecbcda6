# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One non-recursive build; everything lands in build/.  `make help` lists the goals.
#
# bpf/NAME.bpf.c -> build/NAME.bpf.o -> build/NAME.skel.h -> user/*.c -> build/libvpeer.a + build/vpeer
#
# build/config.mk holds what this machine has (tools, library flags).  Make looks at it before anything else, and that
# is where missing packages are installed (root) or named (anyone else): INSTALL=0 never installs.

SHELL = /bin/bash
.DELETE_ON_ERROR:
.SECONDARY:
export PATH := $(PATH):/usr/sbin:/sbin

PREFIX ?= /usr/local
DESTDIR ?=
INSTALL ?= 1
T ?= 60
K ?=
ifeq ($(origin CC),default)
CC = gcc
endif
CLANG ?= clang

# B: where the user side is built; the sanitizer, clang and fuzz builds set it, and EXTRA, in a second make.
B ?= build
EXTRA ?=

V ?= 0
ifeq ($(V),1)
Q =
say = @:
else
Q = @
say = @printf '  %-7s %s\n'
endif

.PHONY: all demo test check san valgrind vectors netns vm kernel lint fuzz bench matrix compat cost mutate restarts \
	clang crash hitless soak install deb boot bare clean help objects packages-% build-% FORCE
all: $(B)/vpeer

# ---- this machine ----------------------------------------------------------------------------------------------------

QUIET_GOALS = clean help
ifneq ($(filter-out $(QUIET_GOALS),$(or $(MAKECMDGOALS),all)),)
include build/config.mk
endif

CHECK_ONLY = $(if $(filter 0,$(INSTALL)),--check)

# Looked at in every run, changed only when its text changes: make starts over only then.
build/config.mk: FORCE
	@mkdir -p build
	@vendor/install.sh build $(CHECK_ONLY)
	@{ \
	  libs="libxdp libbpf libelf zlib libmnl yaml-0.1 jansson"; \
	  so() { objdump -p "$$(gcc -print-file-name=lib$$1.so)" | awk '/SONAME/ {print $$2}'; }; \
	  echo "LIB_CFLAGS := $$(pkg-config --cflags $$libs libxml-2.0 libsystemd)" \
	       "-DXML_SO='\"$$(so xml2)\"' -DSYSTEMD_SO='\"$$(so systemd)\"'" && \
	  echo "LIBS := $$(pkg-config --libs $$libs)" && \
	  echo "CMOCKA := $$(pkg-config --libs cmocka 2>/dev/null || echo -lcmocka)" && \
	  echo "MULTIARCH := $$(gcc -print-multiarch)" && \
	  echo "BPFTOOL := $$(command -v bpftool)" && \
	  echo "CLANG_MAJOR := $$($(CLANG) -dumpversion 2>/dev/null | cut -d. -f1)" && \
	  echo "STRIP_BPF := $$(command -v llvm-strip || ls /usr/bin/llvm-strip-* | sort -V | tail -n 1)"; \
	} >$@.$$PPID
	@cmp -s $@.$$PPID $@ && rm $@.$$PPID || mv $@.$$PPID $@

packages-%:
	@vendor/install.sh build $* $(CHECK_ONLY)

# ---- flags -----------------------------------------------------------------------------------------------------------

WARN = -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wpointer-arith -Wstrict-prototypes
CFLAGS ?= -O2 -g
USER_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude -Iuser -Ibuild $(LIB_CFLAGS) $(EXTRA)
TEST_CFLAGS = $(USER_CFLAGS) -Itests
# The kernel gives a callback more parameters than most need.
BPF_CFLAGS = -target bpf -mcpu=v3 -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude -Ibpf \
	$(if $(MULTIARCH),-I/usr/include/$(MULTIARCH))
DEPS = -MMD -MP

# ---- programs --------------------------------------------------------------------------------------------------------

BPF := $(wildcard bpf/*.bpf.c)
SKELS := $(BPF:bpf/%.bpf.c=build/%.skel.h)
USER := $(wildcard user/*.c)
APP := user/main.c $(wildcard user/cmd_*.c)
LIB_OBJS := $(patsubst user/%.c,$(B)/user/%.o,$(filter-out $(APP),$(USER)))
APP_OBJS := $(patsubst user/%.c,$(B)/user/%.o,$(filter $(APP),$(USER)))

build/%.bpf.o: bpf/%.bpf.c Makefile
	@mkdir -p $(@D)
	$(say) BPF $@
	$(Q)$(CLANG) $(BPF_CFLAGS) $(DEPS) -MF $@.d -MT $@ -c $< -o $@
	$(Q)$(STRIP_BPF) -g $@

build/%.skel.h: build/%.bpf.o
	$(say) SKEL $@
	$(Q){ echo "/* NOLINTBEGIN: generated */" && $(BPFTOOL) gen skeleton $< name $*_bpf && \
		echo "/* NOLINTEND */"; } >$@

$(B)/user/%.o: user/%.c Makefile build/config.mk | $(SKELS)
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(USER_CFLAGS) $(DEPS) -c $< -o $@

$(B)/libvpeer.a: $(LIB_OBJS)
	$(say) AR $@
	$(Q)rm -f $@
	$(Q)ar rcs $@ $(LIB_OBJS)

$(B)/vpeer: $(APP_OBJS) $(B)/libvpeer.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(EXTRA) $(LDFLAGS) $(APP_OBJS) $(B)/libvpeer.a $(LIBS) -o $@

objects: $(LIB_OBJS) $(APP_OBJS)

clang:
	$(Q)$(MAKE) --no-print-directory B=build/clang CC=$(CLANG) objects

# ---- tests -----------------------------------------------------------------------------------------------------------

UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_ROOT := $(patsubst tests/unit-root/%.c,$(B)/tests/unit-root/%,$(wildcard tests/unit-root/test_*.c))
KERNEL := $(patsubst tests/kernel/%.c,$(B)/tests/kernel/%,$(wildcard tests/kernel/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
BENCH := $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/*.c))
VECTORS := $(wildcard tests/vectors/*.c)
VECTOR_OBJS := $(patsubst tests/vectors/%.c,$(B)/tests/vectors.o/%.o,$(VECTORS))

link-test = $(Q)$(CC) $(TEST_CFLAGS) $(DEPS) -MF $@.d -MT $@ $(LDFLAGS) $< $(B)/libvpeer.a $(CMOCKA) $(LIBS) -o $@

$(UNIT): $(B)/tests/%: tests/unit/%.c $(B)/libvpeer.a Makefile
	@mkdir -p $(@D)
	$(say) TEST $@
	$(link-test)

$(UNIT_ROOT): $(B)/tests/unit-root/%: tests/unit-root/%.c $(B)/libvpeer.a Makefile
	@mkdir -p $(@D)
	$(say) TEST $@
	$(link-test)

$(KERNEL): $(B)/tests/kernel/%: tests/kernel/%.c Makefile build/config.mk
	@mkdir -p $(@D)
	$(say) PROBE $@
	$(Q)$(CC) $(TEST_CFLAGS) $(DEPS) -MF $@.d -MT $@ $(LDFLAGS) $< $(LIBS) -lpthread -o $@

$(B)/tests/vectors.o/%.o: tests/vectors/%.c Makefile build/config.mk | $(SKELS)
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(TEST_CFLAGS) -Itests/vectors -DVP_CLANG='"$(CLANG_MAJOR)"' $(DEPS) -c $< -o $@

# The vectors load the object itself: a new object must give a new program, whatever their dependency files say.
$(B)/tests/vectors: $(VECTOR_OBJS) $(SKELS) $(B)/libvpeer.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(EXTRA) $(LDFLAGS) $(VECTOR_OBJS) $(B)/libvpeer.a $(CMOCKA) $(LIBS) -o $@

$(B)/tests/taprelay: tests/lab/taprelay.c Makefile
	@mkdir -p $(@D)
	$(say) TEST $@
	$(Q)$(CC) $(TEST_CFLAGS) $(DEPS) -MF $@.d -MT $@ $< -o $@

$(B)/tests/flow: tests/lab/flow.c Makefile
	@mkdir -p $(@D)
	$(say) TEST $@
	$(Q)$(CC) $(TEST_CFLAGS) $(DEPS) -MF $@.d -MT $@ $< -lpthread -o $@

# Other builds of this tree, to upgrade to.
VARIANTS := $(patsubst tests/upgrade/%.txt,build/variants/%/build/vpeer,$(wildcard tests/upgrade/*.txt))
$(VARIANTS): build/variants/%/build/vpeer: tests/upgrade/%.txt tests/upgrade/build.sh $(B)/vpeer
	$(say) VARIANT $@
	$(Q)tests/upgrade/build.sh $*

build/bench/%: tests/bench/%.c Makefile build/config.mk
	@mkdir -p $(@D)
	$(say) BENCH $@
	$(Q)$(CC) $(TEST_CFLAGS) -Itests/kernel $(DEPS) -MF build/$*.bench.d -MT $@ $(LDFLAGS) $< $(LIBS) -lpthread \
		-o $@

build/fuzz/%: tests/fuzz/%.c build/fuzz/libvpeer.a Makefile
	@mkdir -p $(@D)
	$(say) FUZZ $@
	$(Q)$(CLANG) $(TEST_CFLAGS) -Ibpf -fsanitize=fuzzer,address,undefined $(DEPS) -MF $@.d -MT $@ $< \
		build/fuzz/libvpeer.a $(LIBS) -o $@

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# What each suite needs built; tests/run.py makes them, so that one that does not compile fails alone.
TAPRELAY = $(if $(wildcard tests/lab/taprelay.c),$(B)/tests/taprelay)
build-check: $(UNIT)
build-unit-root: $(UNIT_ROOT)
build-vectors: $(if $(VECTORS),$(B)/tests/vectors)
build-kernel: $(KERNEL)
build-netns build-vm: $(B)/vpeer $(B)/vpeer.bash $(UNIT_ROOT) $(TAPRELAY)
build-netns build-vm: $(B)/tests/flow $(VARIANTS)
build-valgrind: $(B)/vpeer $(UNIT)
build-lint: $(SKELS) $(B)/vpeer.bash
build-san:
	$(Q)$(MAKE) --no-print-directory B=build/san EXTRA="$(SANITIZE)" build-check
build-fuzz:
	$(Q)$(MAKE) --no-print-directory B=build/fuzz CC=$(CLANG) EXTRA="-fsanitize=fuzzer-no-link,address,undefined" \
		build/fuzz/libvpeer.a $(FUZZ)

RUN = /usr/bin/python3 tests/run.py $(if $(K),-k '$(K)') $(if $(filter 1,$(V)),-v)

test: all packages-check packages-test
	@$(RUN)

check: packages-check
	@$(RUN) check

san valgrind vectors netns vm kernel lint: packages-check packages-test
	@$(RUN) $@

fuzz: packages-test
ifeq ($(FUZZ),)
	@echo "no tests/fuzz/*.c: nothing to fuzz"
else
	$(Q)$(MAKE) --no-print-directory build-fuzz
	$(Q)for target in $(FUZZ); do \
		name=$${target##*/}; mkdir -p build/fuzz/corpus/$$name; \
		echo "fuzz $$name for $(T) s"; \
		seeds=; [ ! -d tests/fuzz/corpus/$$name ] || seeds=tests/fuzz/corpus/$$name; \
		$$target -max_total_time=$(T) -timeout=10 -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name $$seeds || exit 1; \
	done
endif

LONG_PYTEST = tests/isolate.sh /usr/bin/python3 -m pytest -q -s -p no:cacheprovider $(if $(K),-k '$(K)')

# Two at a time, each with an own bpffs and /run/vpeer. T: seconds at most, an hour and a half if it is not given.
crash: all packages-test build-netns
	@export PYTHONDONTWRITEBYTECODE=1 VPT_CRASH=$(if $(filter file,$(origin T)),5400,$(T)); mkdir -p build/logs; \
	VPT_PART=1 $(LONG_PYTEST) tests/netns/test_crash.py >build/logs/crash-1.log 2>&1 & one=$$!; \
	VPT_PART=0 $(LONG_PYTEST) tests/netns/test_crash.py; zero=$$?; \
	wait $$one; one=$$?; cat build/logs/crash-1.log; \
	case $$zero$$one in 00 | 05 | 50) ;; *) exit 1 ;; esac  # 5: no test has the name

hitless: all packages-test build-netns
	@VPT_LONG=1 PYTHONDONTWRITEBYTECODE=1 timeout 900 $(LONG_PYTEST) tests/netns/test_upgrade.py

demo: all packages-demo
	@tests/demo.sh

# What the programs cost, in instructions, from now on; the vectors compare.
cost: packages-check packages-test build-vectors
	@tests/cost.py

# ROUNDS and MS: how many rounds of how many milliseconds.
comma = ,
bench: all packages-demo packages-test $(if $(RECORD),packages-bench) $(BENCH)
	@/usr/bin/python3 tests/bench/run.py $(if $(ROUNDS),-r $(ROUNDS)) $(if $(MS),-t $(MS)) $(if $(RECORD),-d) \
		$(subst $(comma), ,$(ROWS) $(K))

# Ten guests restart in a loop for T seconds under traffic; the same test is in `make netns` with 6 s.
restarts: all packages-test build-netns
	@VPT_RESTARTS=$(T) tests/isolate.sh /usr/bin/python3 -m pytest -q -s -p no:cacheprovider \
		tests/netns/test_restarts.py

# Random operations under traffic for T seconds; SEED repeats a run. A short one is in `make netns`.
soak: all packages-test build-netns
	@PYTHONDONTWRITEBYTECODE=1 timeout -k 30 $$(($(T) + 600)) tests/isolate.sh /usr/bin/python3 \
		tests/soak/run.py -t $(T) $(if $(SEED),-s $(SEED))

# MATRIX_K: only these kernels and suites, e.g. MATRIX_K="6.1 nic"; K: only tests that match; REST=1: only what has not
# passed last time; RECORD=1: keep results.
matrix: all packages-demo packages-test build-vectors build-kernel build-netns build-unit-root
	@tests/isolate.sh /usr/bin/python3 tests/matrix/run.py $(if $(K),-k '$(K)') $(if $(REST),--rest) \
		$(if $(RECORD),--record) $(MATRIX_K)

mutate: all packages-check packages-test
	@/usr/bin/python3 tests/mutate/run.py $(if $(K),'$(K)')

# The table says what the last run of these tests found, failures too.
compat: all packages-test
	@rm -rf build/compat
	@for suite in netns/test_matrix.py vm/test_protocols.py; do \
		tests/isolate.sh /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/$$suite || true; \
	done
	@/usr/bin/python3 tests/compat.py write

# ---- the rest --------------------------------------------------------------------------------------------------------

# From the verb table; the binary that prints it must run on this machine.
$(B)/vpeer.bash: $(B)/vpeer dist/completion.sh
	$(say) BASH $@
	$(Q)$< help --completion >$@.table
	$(Q)sed -i 's/^\([^\t]*\)\t\(.*\)$$/\t["\1"]="\2"/' $@.table
	$(Q)sed -e '/@TABLE@/{r $@.table' -e 'd}' dist/completion.sh >$@

SHARE = $(DESTDIR)$(PREFIX)/share
UNITDIR ?= $(PREFIX)/lib/systemd/system
UNITS = $(DESTDIR)$(UNITDIR)
RULES = $(DESTDIR)$(PREFIX)/lib/udev/rules.d

install: all $(B)/vpeer.bash
	install -D -m 755 $(B)/vpeer "$(DESTDIR)$(PREFIX)/sbin/vpeer"
	install -D -m 644 $(B)/vpeer.bash "$(SHARE)/bash-completion/completions/vpeer"
	install -D -m 644 -t "$(SHARE)/man/man5" docs/*.5
	install -D -m 644 -t "$(SHARE)/man/man8" docs/*.8
	install -D -m 644 -t "$(SHARE)/doc/vpeer" docs/*.md
	install -D -m 644 -t "$(SHARE)/doc/vpeer/examples" configs/*.yaml
	install -D -m 644 -t "$(UNITS)" dist/*.service
	sed -e 's,/plane\.yaml,/%i.yaml,' -e 's,99-vpeer\.rules,vpeer-watch@,' -e 's,^Description=.*,& %i,' \
		-e 's,vpeer \(up\|attach\|down\)$$,vpeer --plane %i \1,' -e 's,%i up$$,& -f /etc/vpeer/%i.yaml,' \
		dist/vpeer.service | install -m 644 /dev/stdin "$(UNITS)/vpeer@.service"
	install -D -m 644 -t "$(RULES)" dist/*.rules
	sed -i 's,@SBIN@,$(PREFIX)/sbin,' "$(UNITS)"/vpeer*.service "$(RULES)"/*-vpeer.rules

# A Debian package, in build/deb.
deb: packages-build packages-deb
	$(Q)dist/debian/build.sh $(if $(filter 1,$(V)),-v)

# The package in a machine of its own, with a real systemd: installed, enabled, rebooted.
boot: deb packages-test packages-boot
	@timeout -k 30 1500 tests/isolate.sh /usr/bin/python3 tests/boot/run.py

# A bare Debian 12 in which nothing was installed by hand: the demo, the build and the unit tests from a fresh clone.
bare: packages-boot
	@tests/boot/bare.sh

clean:
	rm -rf build

help:
	@echo "make             build build/vpeer; as root, first install what is missing (INSTALL=0: never)"
	@echo "make demo        build, then show a plane at work between three guests (root)"
	@echo "make test        every suite: lint check san valgrind vectors kernel netns vm (root)"
	@echo "make check       unit tests, no root             make san       the same with ASan and UBSan"
	@echo "make vectors     frames through both programs    make netns     planes between namespaces and TAPs"
	@echo "make vm          real QEMU guests                make kernel    facts of the kernel that vpeer relies on"
	@echo "make valgrind    leaks and wild reads            make lint      warnings, tidy, house rules"
	@echo "make matrix      the suites on Debian's 6.1 and 6.12 in QEMU (long); MATRIX_K=6.1: one of them"
	@echo "make fuzz T=60   each fuzz target for T seconds  make mutate    each mutation turns a check red"
	@echo "make bench       this plane and its peers; ROWS=P2,P7 picks rows, RECORD=1 writes docs/performance.md"
	@echo "make cost        records instructions and verifier states, which the vectors compare with"
	@echo "make restarts T=300   ten guests restart in a loop: nobody else loses a frame"
	@echo "make clang       compile user/ with clang"
	@echo "make install PREFIX=/usr/local DESTDIR=          make clean"
	@echo "make deb         a Debian package, in build/deb  make boot      that package under a real systemd (QEMU)"
	@echo "make bare        the demo and make check in a Debian 12 that has nothing else"
	@echo "make crash       kills the loader at each system call of each verb, fails each kernel call (T=5400)"
	@echo "make hitless     100 upgrades and 1,000 changes under 100,000 numbered frames a second"
	@echo "make soak T=600  random operations, upgrades and kills under traffic; SEED=n repeats a run"
	@echo "make compat      tests every device pair, carrier and protocol, and writes docs/compat.md of it"
	@echo "K=PATTERN picks tests by name; V=1 shows commands and test output"

-include $(wildcard build/*.d $(B)/user/*.d $(B)/tests/*.d $(B)/tests/*/*.d build/fuzz/*.d)
