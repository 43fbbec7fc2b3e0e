#!/usr/bin/env bash
# Unpacks a package of Debian's newest suite, without installing it:
#   scripts/debian-newest.sh PACKAGE DIRECTORY [SUITE]
# A second sources list is derived from the machine's own, so the same mirror and keys are used.
set -euo pipefail
package=$1 target=$2 suite=${3:-sid}

state=${XDG_CACHE_HOME:-$HOME/.cache}/flatline-lab/apt-$suite
mkdir -p "$state/lists/partial" "$state/archives/partial" "$target"

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian$' || true)
if [ -z "$mirror" ]; then
    echo "no Debian mirror among this machine's apt sources; add one to /etc/apt/sources.list.d" >&2
    exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"

options=(
    -o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=-"
    -o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "APT::Sandbox::User=root"
)
if [ -z "$(find "$state/lists" -name '*_Packages*' -mtime -1 -print -quit)" ]; then
    apt-get "${options[@]}" update -qq
fi
(cd "$state/archives" && apt-get "${options[@]}" download -qq "$package")
newest=$(ls -t "$state/archives/${package}"_*.deb | head -n 1)
dpkg -x "$newest" "$target"
echo "$(dpkg-deb -f "$newest" Package Version | tr '\n' ' ')unpacked to $target" >&2
