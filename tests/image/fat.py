#!/usr/bin/env python3
"""Whether Windows and macOS read a FAT partition of an image: the rules of Microsoft's FAT
specification (1.03) that their drivers go by, and names that both can show.

    fat.py IMAGE START    (START: first sector of the partition)     prints `FAT32 LABEL`, or what is wrong
"""

import struct
import subprocess
import sys

SECTOR = 512
# A driver decides by the number of clusters, whatever the text in the boot sector says.
LEAST_FAT16, LEAST_FAT32 = 4085, 65525
FORBIDDEN = set('"*:<>?\\|')
DEVICES = {"CON", "PRN", "AUX", "NUL"} | {f"{name}{n}" for name in ("COM", "LPT") for n in range(1, 10)}


def faults(image, start):
    """Yields what is wrong; returns type and label by `StopIteration.value`."""
    with open(image, "rb") as file:
        file.seek(start * SECTOR)
        boot = file.read(SECTOR)
        table = partition(image, start)
        (size, per_cluster, reserved, fats, entries, total16, media, fat16) = struct.unpack_from("<HBHBHHBH", boot, 11)
        total32, fat32 = struct.unpack_from("<II", boot, 32)
        if not (boot[0] == 0xEB and boot[2] == 0x90 or boot[0] == 0xE9):
            yield "the boot sector does not begin with a jump"
        if boot[510:] != b"\x55\xaa":
            yield "the boot sector has no signature"
        if size != SECTOR:
            yield f"sectors of {size} bytes"
        if per_cluster == 0 or per_cluster & per_cluster - 1 or per_cluster * size > 32768:
            yield f"{per_cluster} sectors in a cluster"
            return
        if reserved == 0 or fats != 2:
            yield f"{reserved} reserved sectors, {fats} tables"
        total, length = total16 or total32, fat16 or fat32
        if total > table[1]:
            yield f"{total} sectors in a partition of {table[1]}"
        clusters = (total - reserved - fats * length - (entries * 32 + SECTOR - 1) // SECTOR) // per_cluster
        kind = "FAT32" if clusters >= LEAST_FAT32 else "FAT16" if clusters >= LEAST_FAT16 else "FAT12"
        # Within 16 of a limit some drivers count otherwise.
        if any(abs(clusters - limit) <= 16 for limit in (LEAST_FAT16, LEAST_FAT32)):
            yield f"{clusters} clusters, too near to a limit between two types"
        meant = "FAT32" if fat16 == 0 and entries == 0 else "FAT16"
        if meant != kind:
            yield f"made as {meant}, and read as {kind} by its {clusters} clusters"
            return
        width, most, text = (4, None, 82) if kind == "FAT32" else (2, 512, 54)
        if length * SECTOR < (clusters + 2) * width:
            yield f"a table of {length} sectors for {clusters} clusters"
        if most and entries != most:
            yield f"{entries} entries in the root folder, not {most}"
        if boot[text:text + 5].decode("ascii", "replace") != kind:
            yield f"the boot sector calls itself {boot[text:text + 8]!r}"
        file.seek((start + reserved) * SECTOR)
        if file.read(1)[0] != media or media != 0xF8:
            yield f"media byte {media:#x}"
        if kind == "FAT32":
            root, info, backup = struct.unpack_from("<IHH", boot, 44)
            if (root, info, backup) != (2, 1, 6):
                yield f"root folder, information and copy at {root}, {info}, {backup}"
            file.seek((start + info) * SECTOR)
            sector = file.read(SECTOR)
            if sector[:4] != b"RRaA" or sector[484:488] != b"rrAa" or sector[510:] != b"\x55\xaa":
                yield "no sector of information"
            file.seek((start + backup) * SECTOR)
            if file.read(SECTOR) != boot:
                yield "the copy of the boot sector is another"
        # 0xc is FAT by block addresses: what cards have, and what a Raspberry Pi looks for.
        if table[0] != 0xC:
            yield f"partition type {table[0]:#x}"
        if start % 2048:
            yield "the partition does not begin at a whole MiB"
        label = boot[text - 11:text].decode("ascii", "replace").rstrip()
        if not (0 < len(label) <= 11 and label == label.upper() and label.isalnum()):
            yield f"the label {label!r}"
        yield from names(image, start)
        return f"{kind} {label}"


def partition(image, start):
    """Type and sectors of the primary partition that begins there."""
    with open(image, "rb") as file:
        record = file.read(SECTOR)
    for index in range(4):
        entry = record[446 + 16 * index:462 + 16 * index]
        first, sectors = struct.unpack_from("<II", entry, 8)
        if first == start:
            return entry[4], sectors
    return 0, 0


def names(image, start):
    """Names that one of the two cannot show."""
    listed = subprocess.run(
        ["mdir", "-/", "-b", "-i", f"{image}@@{start * SECTOR}", "::"], capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        yield f"its files cannot be listed: {listed.stderr.strip()}"
    seen = set()
    for path in listed.stdout.splitlines():
        path = path.removeprefix("::/").rstrip("/")
        if path.lower() in seen:
            yield f"{path} is there twice, but for upper and lower case"
        seen.add(path.lower())
        for name in path.split("/"):
            stem = name.split(".")[0].upper()
            if set(name) & FORBIDDEN or name[-1] in ". " or stem in DEVICES or not name.isprintable():
                yield f"the name {path!r}"


def main():
    generator = faults(sys.argv[1], int(sys.argv[2]))
    wrong = []
    while True:
        try:
            wrong.append(next(generator))
        except StopIteration as end:
            print("; ".join(wrong) or end.value)
            return


main()
