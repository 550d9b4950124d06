################################################################################
#
# offhook
#
################################################################################

OFFHOOK_VERSION = 0.1.0
OFFHOOK_SITE = $(BR2_EXTERNAL_OFFHOOK_PATH)/..
OFFHOOK_SITE_METHOD = local
OFFHOOK_LICENSE = MIT or Apache-2.0
OFFHOOK_LICENSE_FILES = LICENSE LICENSE-MIT LICENSE-APACHE
OFFHOOK_DEPENDENCIES = alsa-lib host-pkgconf opus
# The binary's crate; cargo finds the workspace above it.
OFFHOOK_SUBDIR = firmware/offhook
OFFHOOK_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude /target --exclude '/target-*'

# Buildroot vendors crates for downloaded archives only, not for a local tree: done here, by the
# lock file, as soon as the tree is copied.
# The build itself is offline.
define OFFHOOK_VENDOR_CRATES
	mkdir -p $(@D)/.cargo $(BR_CARGO_HOME)
	cd $(@D) && $(PKG_CARGO_ENV) flock $(BR_CARGO_HOME)/.br-lock \
		$(HOST_DIR)/bin/cargo vendor --locked VENDOR > .cargo/config.toml
endef
OFFHOOK_POST_RSYNC_HOOKS += OFFHOOK_VENDOR_CRATES

# Developers' tools (sim, echo, graph, demo) stay out of the image.
OFFHOOK_CARGO_BUILD_OPTS = --no-default-features
OFFHOOK_CARGO_INSTALL_OPTS = --no-default-features

# Buildroot's cargo infrastructure overrides the release profile by environment: restated, or the
# phone is built without LTO in sixteen parts.
OFFHOOK_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_LTO="fat" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="1" \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="s" \
	CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS="false" \
	CARGO_PROFILE_RELEASE_PANIC="abort" \
	CARGO_PROFILE_RELEASE_STRIP="true" \
	PKG_CONFIG_ALLOW_CROSS="1" \
	OFFHOOK_COMMIT="$(OFFHOOK_COMMIT)"

# Whose rights the phone has while it runs. The number stays: the data partition outlives an update.
define OFFHOOK_USERS
	offhook 990 offhook 990 * - - - the phone
endef

define OFFHOOK_INSTALL_PROFILES
	mkdir -p $(TARGET_DIR)/usr/share/offhook
	cp -a $(@D)/board/profiles $(TARGET_DIR)/usr/share/offhook/
endef
OFFHOOK_POST_INSTALL_TARGET_HOOKS += OFFHOOK_INSTALL_PROFILES

$(eval $(cargo-package))

# The hook above runs cargo, which Buildroot promises only to later steps.
$(OFFHOOK_TARGET_RSYNC): | host-rustc
