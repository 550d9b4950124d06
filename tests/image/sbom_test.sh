#!/usr/bin/env bash
# scripts/sbom: the phone's crates and Buildroot's packages, each once, with versions; the same
# inputs give the same bytes.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0
is() { if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "FAIL: $1: '$2', not '$3'"; bad=1; fi; }
printf '"PACKAGE","VERSION","LICENSE","LICENSE FILES"\n"busybox","1.37.0","GPL-2.0","LICENSE"\n' >"$work/manifest.csv"
export SOURCE_DATE_EPOCH=1700000000
for file in one two; do "$root/scripts/sbom" offhook-virt 7.8.9 "$work/manifest.csv" >"$work/$file" || exit 1; done
is "the same inputs, the same bytes" "$(cmp "$work/one" "$work/two" && echo same)" same
query() { python3 -c 'import json, sys; document = json.load(open(sys.argv[1])); packages = document["packages"]; print(eval(sys.argv[2]))' "$work/one" "$1"; }
is "SPDX" "$(query 'document["spdxVersion"], document["creationInfo"]["created"]')" "('SPDX-2.3', '2023-11-14T22:13:20Z')"
is "the image" "$(query '(packages[0]["name"], packages[0]["versionInfo"])')" "('offhook-virt', '7.8.9')"
is "Buildroot's part" "$(query '[p["versionInfo"] for p in packages if p["name"] == "busybox"]')" "['1.37.0']"
is "crates with licence and checksum" "$(query 'all(p["licenseDeclared"] != "NOASSERTION" for p in packages if p.get("checksums")) and len(packages) > 100')" True
is "no crates of tests" "$(query '[p for p in packages if p["name"] in ("proptest", "rsip", "testkit")]')" "[]"
is "each once" "$(query 'len(packages) == len({p["SPDXID"] for p in packages}) == len(document["relationships"])')" True
exit $bad
