#!/usr/bin/env bash
# Builds the Debian package `flatline-exporter` into a directory and prints its path:
#     scripts/package.sh OUTPUT [VERSION]
# Nothing but the sources and the compiler is to decide its content: dates are those of the commit, paths are left out. That two
# packings of one binary are one file is tested by scripts/test-package.sh; that two builds are one package, in two directories and
# with two cargo homes, takes minutes and was last compared on 2026-11-30.
# FLATLINE_PACKAGE_BINARY names a binary that is built already (the tests pack the one they test),
# FLATLINE_PACKAGE_MAINTAINER is who publishes it, FLATLINE_PACKAGE_COMPRESSION another than xz (they are in a hurry).
set -euo pipefail

output=${1:?usage: scripts/package.sh OUTPUT [VERSION]}
cd "$(dirname "$0")/.."
crate_version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
version=${2:-$crate_version}
architecture=$(dpkg --print-architecture)
cargo=${CARGO:-cargo}
target=$(rustc -vV | sed -n 's/^host: //p')
# Outside a checkout the date of the change log stands for that of the commit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
maintainer=${FLATLINE_PACKAGE_MAINTAINER:-The Flatline authors <flatline@localhost>}
export LC_ALL=C TZ=UTC
umask 022

target_directory=${CARGO_TARGET_DIR:-target}
binary=${FLATLINE_PACKAGE_BINARY:-}
if [ -z "$binary" ]; then
    # Where the sources and the registry lie on this machine is nobody's business, and not the same on the next one.
    RUSTFLAGS="--remap-path-prefix=$PWD=/flatline --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "$cargo" build --quiet --release --locked --package flatline-exporter --target-dir "$target_directory/package" >&2
    binary=$target_directory/package/release/flatline-exporter
fi

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
root=$staged/root
documents=$root/usr/share/doc/flatline-exporter
mkdir -p "$root/DEBIAN" "$documents/examples"

install -D -m 755 "$binary" "$root/usr/bin/flatline-exporter"
strip --strip-all --remove-section=.comment "$root/usr/bin/flatline-exporter"
install -D -m 644 -t "$root/lib/systemd/system" deploy/systemd/flatline-exporter.service
install -D -m 755 -t "$root/lib/systemd/system-generators" deploy/systemd/flatline-exporter-generator
install -D -m 644 deploy/systemd/flatline-exporter.sysusers "$root/usr/lib/sysusers.d/flatline-exporter.conf"
install -D -m 644 deploy/debian/exporter.yml "$root/etc/flatline/exporter.yml"
install -D -m 644 deploy/debian/default "$root/etc/default/flatline-exporter"
# Not in lib/systemd: a socket would be started for everybody, and most have one exporter that opens its own.
install -m 644 deploy/systemd/flatline-exporter.socket "$documents/examples/"
install -m 644 README.md docs/configuration.md "$documents/"
install -m 644 deploy/debian/copyright "$documents/copyright"
install -m 644 CHANGELOG.md "$documents/changelog"
# The notices are those of every dependency, and a build fetches only what it compiles.
"$cargo" fetch --quiet --locked --target "$target" >&2
"$cargo" run --quiet --locked --package flatline-package -- --target "$target" "$root" >&2
printf 'flatline-exporter (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$documents/changelog.Debian"
gzip --best --no-name "$root"/usr/share/man/man8/*.8 "$documents"/{NOTICES,changelog,changelog.Debian}

install -m 755 -t "$root/DEBIAN" deploy/debian/{postinst,prerm,postrm}
(cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

# dpkg-shlibdeps wants to be in a source package.
mkdir "$staged/debian"
printf 'Source: flatline-exporter\n\nPackage: flatline-exporter\nArchitecture: any\n' >"$staged/debian/control"
libraries=$(cd "$staged" && dpkg-shlibdeps -O root/usr/bin/flatline-exporter 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<CONTROL
Package: flatline-exporter
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$root" | cut -f1)
Depends: $libraries, init-system-helpers (>= 1.54)
Recommends: dbus, systemd
Suggests: prometheus, smartmontools
Section: net
Priority: optional
Description: Prometheus exporter for machines that are dead but look alive
 CPU, memory and "up" are fine, and yet nothing works: a cgroup parked at its
 limit where no OOM kill ever comes, a virtual machine whose disk died inside
 QEMU, a watchdog that nobody feeds, a network mount that hangs.
 .
 The exporter reads these signals and keeps answering while the host is half
 dead. It needs no configuration and listens on port 10120.
CONTROL

mkdir -p "$output"
package=$output/flatline-exporter_${version}_${architecture}.deb
# One thread: how xz cuts its blocks must not depend on the number of processors.
dpkg-deb --root-owner-group -Z"${FLATLINE_PACKAGE_COMPRESSION:-xz}" --threads-max=1 --build "$root" "$package" >&2
echo "$package"
