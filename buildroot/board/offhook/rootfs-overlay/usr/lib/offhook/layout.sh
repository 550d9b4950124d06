# The card's layout, in one place: read by `make-image`, by the image's own scripts (through
# slots.sh) and by the tests.
#
#   p1 OFFHOOK (FAT: offhook.toml, status.txt, slot choice) | p2 boot a | p3 boot b | p4 [ p5 root a | p6 root b | p7 data ]
#
# Sizes in MiB; every partition starts at a whole MiB. Never change them after a release: an update
# cannot move a partition.
CARD_MIB=192 BOOT_MIB=64 ROOT_MIB=160 DATA_MIB=96
# Partition numbers of a slot: `slot_boot a` is 2, `slot_root b` is 6.
slot_boot() { case $1 in a) echo 2 ;; b) echo 3 ;; *) return 1 ;; esac; }
slot_root() { case $1 in a) echo 5 ;; b) echo 6 ;; *) return 1 ;; esac; }
slot_other() { case $1 in a) echo b ;; b) echo a ;; *) return 1 ;; esac; }
CARD_PART=1 DATA_PART=7
