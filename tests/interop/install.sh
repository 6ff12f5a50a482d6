#!/usr/bin/env bash
# What no lock file brings: the origins of tests/interop/origins.py (Node, nginx and Apache httpd), and Prometheus. Debian and Ubuntu.
# Only programs: the suite starts them by configurations of its own, and no service of theirs is started or stays enabled.
set -eu

packages=()
command -v node >/dev/null || packages+=(nodejs)
# What grpc_retries.py installs grpc-js with.
command -v npm >/dev/null || packages+=(npm)
command -v nginx >/dev/null || packages+=(nginx-light)
# apache2-bin is the program without the service.
command -v apache2 >/dev/null || packages+=(apache2-bin)
# For instances' network namespaces.
command -v ip >/dev/null || packages+=(iproute2)
# Judges the unit; nothing of it runs.
command -v systemd-analyze >/dev/null || packages+=(systemd)
# Another load balancer in front, with the PROXY protocol.
command -v haproxy >/dev/null || packages+=(haproxy)
# With promtool.
command -v prometheus >/dev/null || packages+=(prometheus)
if [ "${#packages[@]}" -eq 0 ]; then
  exit 0
fi

# What invoke-rc.d asks before it starts a service (Debian policy, section 9.3.3).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
for package in "${packages[@]}"; do
  case "$package" in
    nginx-light) service=nginx ;;
    haproxy) service=haproxy ;;
    prometheus) service=prometheus ;;
    *) continue ;;
  esac
  if command -v systemctl >/dev/null; then
    systemctl disable "$service" 2>/dev/null || true
  fi
done
