#!/usr/bin/env python3
"""Levels of GPIO lines of QEMU's Raspberry Pi 3, written through its debugger's socket.

    lines.py SOCKET [LINE=0|1]…      e.g. lines.py qemu.gdb 23=0

The machine stops for it and goes on afterwards; one that was started with -S begins. QEMU 7.2 keeps
one level per line and takes GPSET and GPCLR for inputs too, so this plays what a pull-up or a
contact does on a board. It makes no edges: a program sees the level when it reads the line."""
import re, socket, sys

BASE = 0x3F200000  # BCM2837 peripherals, 6.1: GPIO
GPSET0, GPCLR0 = BASE + 0x1C, BASE + 0x28


def send(link, text):
    """The answer to a packet. That the machine stopped is said in a packet of its own, whenever."""
    link.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xFF))
    heard = b""
    while True:
        packet = re.search(rb"\$([^#]*)#[0-9a-f]{2}", heard)
        if packet:
            heard = heard[packet.end() :]
            link.sendall(b"+")
            if packet[1][:1] not in b"TS":
                return packet[1].decode()
            continue
        more = link.recv(4096)
        if not more:
            sys.exit(f"lines: the debugger closed at {text}")
        heard += more


def main():
    high = low = 0
    for word in sys.argv[2:]:
        line, level = word.split("=")
        high |= (level == "1") << int(line)
        low |= (level == "0") << int(line)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(20)
    link.connect(sys.argv[1])
    for text in ["Qqemu.PhyMemMode:1"] + [
        "M%x,4:%s" % (where, bits.to_bytes(4, "little").hex())
        for where, bits in ((GPSET0, high), (GPCLR0, low))
        if bits
    ]:
        answer = send(link, text)
        if answer != "OK":
            sys.exit(f"lines: {text} gave {answer}")
    send(link, "D")


main()
