#!/usr/bin/env bash
# The demo as a newcomer runs it, with a pool that no suite beside it has: three equal shares, no error, status 0.
set -eu
out=$("$FOREBAY_BIN" demo --exit --seconds 5 --address-pool 127.88.0.0/14)
echo "$out"
echo "$out" | grep -Eq '^  errors +0$' || { echo "the demo had errors"; exit 1; }
shares=$(echo "$out" | grep -cE '^  (amber|birch|cedar) +[0-9]+ +33\.[2-4]%$')
[ "$shares" = 3 ] || { echo "the demo's shares are not equal"; exit 1; }
