# Which slot boots: only this file reads and writes that choice. A POSIX shell library, tested on
# the host by tests/image/slots_test.sh.
#
#   update ─▶ slots_arm ─▶ reboot ─▶ firmware takes [tryboot] once ─▶ slot b on trial ─▶ 60 s of a working phone ─▶ slots_keep b
#                                                                            └─ anything else: reset ─▶ firmware takes [all]: slot a
#
# The state is the Raspberry Pi firmware's own file, p1:/autoboot.txt, always of the same length and
# rewritten in place: one sector, so that a power cut leaves the old choice or the new one. The flag
# "once" is a register of the Raspberry Pi that its firmware clears; a machine without that firmware
# has p1:/tryboot, one byte `0` or `1`, written in place as well, which its boot script
# (slots_firmware) clears before it boots anything. Both therefore fall back by themselves.

# slots_text SLOT: autoboot.txt that boots SLOT, and the other one for a start "once". Every such
# text has the same length.
slots_text() {
  printf '[all]\ntryboot_a_b=1\nboot_partition=%s\n[tryboot]\nboot_partition=%s\n' "$(slot_boot "$1")" "$(slot_boot "$(slot_other "$1")")"
}

# slots_primary FOLDER: the slot that boots when nothing is on trial. Without a readable file it is
# a, as the card was made.
slots_primary() {
  if [ "$(sed -n '/^\[all\]/,/^\[tryboot\]/s/^boot_partition=//p' "$1/autoboot.txt" 2>/dev/null)" = "$(slot_boot b)" ]; then echo b; else echo a; fi
}

# slots_once FOLDER: true when the next start is a trial of the other slot.
slots_once() { [ "$(cut -c1 "$1/tryboot" 2>/dev/null)" = 1 ]; }

# slots_next FOLDER: the slot the next start takes.
slots_next() { if slots_once "$1"; then slot_other "$(slots_primary "$1")"; else slots_primary "$1"; fi; }

# slots_write FILE: standard input into FILE, in place and to the medium. Same length, same sectors:
# nothing of the file system changes.
slots_write() { dd of="$1" conv=notrunc,fsync 2>/dev/null; }

# slots_keep FOLDER SLOT: from now on SLOT boots; nothing is on trial.
slots_keep() {
  slots_text "$2" | slots_write "$1/autoboot.txt" && { [ ! -e "$1/tryboot" ] || printf 0 | slots_write "$1/tryboot"; }
}

# slots_arm FOLDER: the next start tries the other slot, once. Where the firmware has its own flag
# (no file `tryboot`), it is passed with the reboot itself.
slots_arm() { [ ! -e "$1/tryboot" ] || printf 1 | slots_write "$1/tryboot"; }

# slots_disarm FOLDER
slots_disarm() { [ ! -e "$1/tryboot" ] || printf 0 | slots_write "$1/tryboot"; }

# slots_firmware FOLDER: what a boot script does: clears the flag and prints the slot to boot.
slots_firmware() {
  slots_next "$1"
  if slots_once "$1"; then slots_disarm "$1"; fi
}

# slots_cmdline SLOT: a kernel command line on standard input, made to name SLOT's root.
slots_cmdline() {
  sed -e "s#\\(root=/dev/[a-z0-9]*\\)[56]\\( \\|\$\\)#\\1$(slot_root "$1")\\2#" -e "s#rauc\\.slot=[ab]#rauc.slot=$1#"
}
