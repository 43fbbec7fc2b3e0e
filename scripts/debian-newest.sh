#!/usr/bin/env bash
# Unpacks a package of Debian's newest suite, without installing it:
#   scripts/debian-newest.sh [--with-dependencies] PACKAGE DIRECTORY [SUITE]
# With its dependencies it brings everything down to the C library, as if nothing were installed.
# A second sources list is derived from the machine's own, so the same mirror and keys are used.
set -euo pipefail
dependencies=
if [ "${1-}" = --with-dependencies ]; then
    dependencies=yes
    shift
fi
package=$1 target=$2 suite=${3:-sid}

cache=${FLATLINE_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flatline-lab}
state=$cache/apt-$suite
mkdir -p "$state/lists/partial" "$target"
archives=$(mktemp --directory "$state/archives.XXXXXX")
trap 'rm -rf "$archives"' EXIT
mkdir "$archives/partial"

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian$' || true)
if [ -z "$mirror" ]; then
    echo "no Debian mirror among this machine's apt sources; add one to /etc/apt/sources.list.d" >&2
    exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"
: >"$state/nothing-installed"

options=(
    -o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=-"
    -o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$archives"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "APT::Sandbox::User=root"
    -o "Acquire::Languages=none" -o "Acquire::http::Timeout=20" -o "Acquire::https::Timeout=20"
)
download() {
    if [ -n "$dependencies" ]; then
        # apt's own resolver finds them; nothing of the system's is read or locked.
        apt-get "${options[@]}" -o "Dir::State::status=$state/nothing-installed" -o "Debug::NoLocking=1" \
            install -qq --yes --no-install-recommends --download-only "$package"
    else
        (cd "$archives" && apt-get "${options[@]}" download -qq "$package")
    fi
}

if [ -z "$(find "$state/lists" -name '*_Packages*' -mtime -1 -print -quit)" ]; then
    apt-get "${options[@]}" update -qq
fi
download >&2
for archive in "$archives"/*.deb; do
    dpkg -x "$archive" "$target"
done
echo "$(dpkg-deb -f "$archives/${package}"_*.deb Package Version | tr '\n' ' ')unpacked to $target" >&2
