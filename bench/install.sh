#!/usr/bin/env bash
# What `cargo xtask bench peers` measures against, and with. Debian and Ubuntu.
set -eu
apt-get update
apt-get install -y --no-install-recommends nginx-light haproxy wrk nghttp2-client util-linux
