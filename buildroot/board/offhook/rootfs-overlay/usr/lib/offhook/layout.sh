# The card's layout, in one place: read by `assemble`, by the phone's own scripts (through slots.sh) and by the tests.
#
#   p1 OFFHOOK (FAT: the person's file, status.txt, slot choice) | p2 boot a | p3 boot b | p4 [ p5 root a | p6 root b | p7 data ]
#
# Sizes in MiB, rounded to whole MiB from the first on. Never change them once a release is out: an update cannot move a partition.
CARD_MIB=192 BOOT_MIB=64 ROOT_MIB=160 DATA_MIB=96
# Partition numbers of a slot: `slot_boot a` is 2, `slot_root b` is 6.
slot_boot() { case $1 in a) echo 2 ;; b) echo 3 ;; *) return 1 ;; esac; }
slot_root() { case $1 in a) echo 5 ;; b) echo 6 ;; *) return 1 ;; esac; }
slot_other() { case $1 in a) echo b ;; b) echo a ;; *) return 1 ;; esac; }
CARD_PART=1 DATA_PART=7
