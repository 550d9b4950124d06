# Offhook: the two commands (`make run`, `make test`) and the rest.
#
#   make run          a desk phone on this terminal, with an echo phone to call;
#                     without a terminal: one measured call
#   make test         lints, unit tests, two phones in virtual time, fuzz targets, real peers,
#                     real devices, aarch64; parts: make test-PART, see scripts/test
#   make test-image   the image in QEMU: from the card to a call, updates, power cuts; with IMAGE=FILE a built
#                     image of virt (tests/image/built.sh)
#   make test-long    tests that take minutes to hours (scripts/xtask, LONG), every fuzz target for
#                     ten minutes
#   make fuzz         every fuzz target for two minutes (FUZZ_SECONDS=…)
#   make cross        the stripped aarch64 binary as the image carries it, within its size budget;
#                     and the program and unit tests of `make test-cross` under qemu-aarch64
#   make image        BOARD=rpi-zero2w|rpi3|rpi4|virt: one file for the card, by Buildroot;
#                     SOURCES=debian: from Debian's archives, where no others can be reached
#   make flash        DEV=/dev/sdX [BOARD=… | IMAGE=…]: writes it to a card and reads it back
#   make bench        delay, CPU, memory, reaction times and speech quality beside baresip and
#                     pjsua, into docs/budgets.md
#   make bench-image  boot time, size and memory of the image beside a stock Debian, in QEMU,
#                     into docs/budgets.md
#   make docs         what is generated: the reference and the example offhook.toml, tables of
#                     security, providers, codes and drawings of the guide
#   make guide        docs as a book in target/guide, by mdBook (built at a fixed version where it is
#                     missing), and follows every link of it
#   make deny         licences, sources and advisories of every dependency
#
# Every target installs the Debian packages it misses and says so first (scripts/need).

SHELL := /bin/bash
CARGO ?= cargo

TEST_PARTS := lint unit fuzz tools cross timed run peers board image long

.PHONY: image flash run test fuzz cross $(TEST_PARTS:%=test-%) bench bench-image docs guide deny clean help
help:
	@sed -n '/^#   make/,/^# Every/s/^# \{0,1\}//p' Makefile

run:
	@scripts/need build
	@$(CARGO) build --quiet --workspace --bin offhook
	@scripts/run

test:
	@scripts/test

ifneq ($(IMAGE),)
# A built image instead of the stand-in.
test-image:
	@scripts/need emulate
	@tests/image/built.sh "$(IMAGE)"
endif

$(if $(IMAGE),$(filter-out test-image,$(TEST_PARTS:%=test-%)),$(TEST_PARTS:%=test-%)):
	@scripts/test $(@:test-%=%)

fuzz:
	@scripts/need build fuzz
	@scripts/fuzz

cross:
	@scripts/cross

image:
	@scripts/image

flash:
	@scripts/need flash
	@[ -n "$(DEV)" ] || { echo "flash: which card? make flash DEV=/dev/sdX BOARD=rpi-zero2w" >&2; exit 2; }
	@image="$(IMAGE)"; [ -n "$$image" ] || image=$$(ls -t target/image/offhook-$(or $(BOARD),*)-*.img.xz 2>/dev/null | head -1); \
	[ -n "$$image" ] || { echo "flash: there is no image; make image BOARD=NAME first, or name one with IMAGE=" >&2; exit 1; }; \
	scripts/flash "$(DEV)" "$$image"

bench:
	@scripts/bench

bench-image:
	@OFFHOOK_WRITE_PAGES=1 OFFHOOK_IMAGE_ONLY=sooner_than_a_stock_debian scripts/test image

docs:
	@scripts/need build
	@OFFHOOK_WRITE_PAGES=1 $(CARGO) test --quiet -p config
	@OFFHOOK_WRITE_PAGES=1 $(CARGO) test --quiet -p app --lib -- picture_of_the_panel
	@OFFHOOK_WRITE_PAGES=1 $(CARGO) test --quiet --workspace --test docs

guide:
	@scripts/guide

deny:
	@scripts/deny

clean:
	$(CARGO) clean
