# Sourced by every script of the image: paths, board, running slot, and how to report to the person.
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH
. /usr/lib/offhook/layout.sh
. /usr/lib/offhook/slots.sh
CARD=/boot/offhook                 # p1, read-only except while something is written (card_open … card_close)
SYSTEM=/run/offhook/system         # network, clock and access as the configuration asks: `offhook provision --emit`
BOARD=$(cat /etc/offhook/board 2>/dev/null || echo virt)
ROOT_DEVICE=; SLOT=a
for word in $(cat /proc/cmdline); do
  case $word in root=*) ROOT_DEVICE=${word#root=} ;; rauc.slot=*) SLOT=${word#rauc.slot=} ;; esac
done
DISK=${ROOT_DEVICE%[0-9]}          # /dev/vda5 → /dev/vda, /dev/mmcblk0p5 → /dev/mmcblk0p
CARD_DEVICE=$DISK$CARD_PART DATA_DEVICE=$DISK$DATA_PART
mkdir -p /run/offhook/notes

# log TEXT: into the kernel's log, which survives a crash (pstore) and goes to the syslog server
# where one is configured.
log() { echo "offhook-image: $*" >/dev/kmsg; }

# note NAME TEXT: a line for status.txt; an empty TEXT removes it.
note() {
  if [ -n "$2" ]; then echo "$1: $2" >"/run/offhook/notes/5-$1"; log "$1: $2"; else rm -f "/run/offhook/notes/5-$1"; fi
  publish_notes
}

# publish_notes: all notes into the one file that the phone reads, replaced as a whole.
publish_notes() {
  { cat /run/offhook/notes/*; echo "image: $(cat /etc/offhook/version 2>/dev/null)"; } 2>/dev/null | head -c 2000 >/run/offhook/image.new
  mv /run/offhook/image.new /run/offhook/image
}

# card_open / card_close: p1 is writable in between, for one writer at a time (the phone takes the
# same lock).
card_open() { exec 9>/run/offhook/card.lock; flock 9; mount -o remount,rw "$CARD"; }
card_close() { sync; mount -o remount,ro "$CARD"; exec 9>&-; }
