#!/usr/bin/env bash
# Debian's development release with Asterisk in a folder, for the tests of `make test-long`: the
# stable release has no Asterisk.
#   tests/asterisk.sh FOLDER      (as root; two minutes and 500 MB; nothing is done where it is there)
set -euo pipefail
folder=${1:?a folder is needed: tests/asterisk.sh FOLDER}
if [ -x "$folder/usr/sbin/asterisk" ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "asterisk.sh: only root makes a folder of another Debian release" >&2
  exit 1
fi
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until false' \
  --include=asterisk,asterisk-core-sounds-en-gsm sid "$folder" >&2
