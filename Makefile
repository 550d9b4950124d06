# Offhook: the two commands (`make run`, `make test`) and the rest.
#
#   make run          a desk phone on this terminal, with an echo phone to call; without a terminal: one measured call by itself
#   make test         everything: lints, units, two phones in virtual time, real peers, real devices, aarch64
#   make test-image   the image in QEMU: from the card to a call, updates, power cuts (needs `make cross`, which it calls)
#   make cross        the stripped aarch64 binary, and the unit tests under qemu-aarch64
#   make image        BOARD=rpi-zero2w|rpi3|rpi4|virt: one file for the card, by Buildroot (an hour or more)
#   make flash        DEV=/dev/sdX [BOARD=… | IMAGE=…]: writes it to a card and reads it back
#   make bench        delay, CPU, memory, reactions and speech quality beside baresip and pjsua; written to docs/budgets.md
#   make bench-image  boot time, size and memory of the image beside a stock Debian, in QEMU; written to docs/budgets.md
#   make docs         regenerates docs/provisioning.md, the example offhook.toml and the security tables
#
# Every target installs what it misses from Debian's packages and says so first (scripts/need).

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: image flash run test test-unit test-peers test-board test-image cross bench bench-image docs deny clean help
help:
	@sed -n '2,13s/^# \{0,1\}//p' Makefile

run:
	@scripts/need build
	@$(CARGO) build --quiet -p offhook
	@scripts/run

test:
	@scripts/test

test-unit test-peers test-board test-lint test-cross test-image:
	@scripts/test $(@:test-%=%)

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
	@OFFHOOK_WRITE_PAGES=1 $(CARGO) test --quiet --workspace --test docs

deny:
	@scripts/deny

clean:
	$(CARGO) clean
