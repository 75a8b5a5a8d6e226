#!/bin/sh
# packages.sh NAME...: install Debian packages, quietly.
set -eu
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --quiet=2 --yes --no-install-recommends "$@" >/dev/null; }
install "$@" 2>/dev/null || { apt-get update --quiet=2 && install "$@"; }
