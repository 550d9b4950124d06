# Offhook: the two commands (`make run`, `make test`) and the rest.
#
#   make run          a desk phone on this terminal, with an echo phone to call; without a terminal: one measured call by itself
#   make test         everything: lints, units, two phones in virtual time, real peers, real devices, aarch64
#   make cross        the stripped aarch64 binary
#   make docs         regenerates docs/provisioning.md and the example offhook.toml from the schema
#
# Every target installs what it misses from Debian's packages and says so first (scripts/need).

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: cross-test run test test-unit test-peers test-board cross docs deny clean help
help:
	@sed -n '2,8s/^# \{0,1\}//p' Makefile

run:
	@scripts/need build
	@$(CARGO) build --quiet -p offhook
	@scripts/run

test:
	@scripts/test

test-unit test-peers test-board test-lint test-cross:
	@scripts/test $(@:test-%=%)

cross:
	@scripts/cross build

cross-test:
	@scripts/cross test

docs:
	@scripts/need build
	@OFFHOOK_WRITE_PAGES=1 $(CARGO) test --quiet -p config

deny:
	@scripts/deny

clean:
	$(CARGO) clean
