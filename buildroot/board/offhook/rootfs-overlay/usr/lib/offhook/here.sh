# What every script of the image knows: where it is, which slot it runs from, and how to tell the person.
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH
. /usr/lib/offhook/layout.sh
. /usr/lib/offhook/slots.sh
CARD=/boot/offhook                 # p1, read-only but for the moment of a write (card_open … card_close)
SYSTEM=/run/offhook/system         # the phone's word on network, clock and access: `offhook provision --emit`
BOARD=$(cat /etc/offhook/board 2>/dev/null || echo virt)
ROOT_DEVICE=; SLOT=a
for word in $(cat /proc/cmdline); do
  case $word in root=*) ROOT_DEVICE=${word#root=} ;; rauc.slot=*) SLOT=${word#rauc.slot=} ;; esac
done
DISK=${ROOT_DEVICE%[0-9]}          # /dev/vda5 → /dev/vda, /dev/mmcblk0p5 → /dev/mmcblk0p
CARD_DEVICE=$DISK$CARD_PART DATA_DEVICE=$DISK$DATA_PART
mkdir -p /run/offhook/notes

# say TEXT: into the kernel's log, which outlives a crash (pstore) and goes to the syslog server where there is one.
say() { echo "offhook-image: $*" >/dev/kmsg; }

# note NAME TEXT: a line for status.txt; an empty TEXT takes it back.
note() {
  if [ -n "$2" ]; then echo "$1: $2" >"/run/offhook/notes/5-$1"; say "$1: $2"; else rm -f "/run/offhook/notes/5-$1"; fi
  tell
}

# tell: all notes into the one file the phone reads, whole at once.
tell() {
  { cat /run/offhook/notes/*; echo "image: $(cat /etc/offhook/version 2>/dev/null)"; } 2>/dev/null | head -c 2000 >/run/offhook/image.new
  mv /run/offhook/image.new /run/offhook/image
}

# bundle_reason: of what RAUC wrote (standard input), with its service or without, the line that says why; without control characters.
bundle_reason() {
  sed -e 's/^LastError: //' -e '/^ *[0-9]*% /d' -e '/^$/d' -e '/^\(started\|finished\|idle\|installing\)$/d' -e '/^Installing /d' -e '/^Checking and mounting/d' \
    -e '/^rauc-[A-Z][a-z]*: /d' -e '/^\*\* /d' -e '/^(.*): .*\(Message\|WARNING\|CRITICAL\)/d' -e '/^Failed to contact rauc service/d' | tail -n 1 | tr -cd '\040-\176' | cut -c1-160
}

# card_open / card_close: p1 writable in between, for one writer at a time (the phone takes the same lock).
card_open() { exec 9>/run/offhook/card.lock; flock 9; mount -o remount,rw "$CARD"; }
card_close() { sync; mount -o remount,ro "$CARD"; exec 9>&-; }

# phone_idle: the handset lies and nobody is talking, or there is no phone to ask.
phone_idle() {
  status=$(offhook ctl status 2>/dev/null) || return 0
  case $status in *'"state":"idle"'* | *'"state": "idle"'*) return 0 ;; *) return 1 ;; esac
}
