#!/usr/bin/env bash
# Tests the Debian package: reproducible, lintian, content, and a life in a Debian booted under systemd in QEMU.
#     scripts/test-package.sh
# FLATLINE_PACKAGE_BINARY packs a binary that is built already instead of building the release.
# FLATLINE_LAB_SKIPPED names the file where what could not be checked is counted.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d)
qemu=
cleanup() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "test-package: $*" >&2; exit 1; }
skip() {
    echo "SKIPPED: $*" >&2
    [ -z "${FLATLINE_LAB_SKIPPED:-}" ] || echo "SKIPPED: $*" >>"$FLATLINE_LAB_SKIPPED"
}
step() { echo "test-package: $(date +%T) $*"; }

# Once, for all packages below: somebody may commit meanwhile.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
crate_version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
step "two packages of one revision are one file"
old=$(scripts/package.sh "$work/1")
again=$(scripts/package.sh "$work/2")
cmp "$old" "$again" || fail "two builds differ"

step "content"
dpkg-deb --fsys-tarfile "$old" | tar -x -C "$(mkdir "$work/root" && echo "$work/root")"
for path in usr/bin/flatline-exporter lib/systemd/system/flatline-exporter.service \
    lib/systemd/system-generators/flatline-exporter-generator usr/lib/sysusers.d/flatline-exporter.conf etc/flatline/exporter.yml \
    etc/default/flatline-exporter usr/share/man/man8/flatline-exporter{,-boots,-classify}.8.gz \
    usr/share/bash-completion/completions/flatline-exporter usr/share/zsh/vendor-completions/_flatline-exporter \
    usr/share/fish/vendor_completions.d/flatline-exporter.fish \
    usr/share/doc/flatline-exporter/{copyright,NOTICES.gz,changelog.gz,flatline-exporter.cdx.json}; do
    [ -s "$work/root/$path" ] || fail "lacks /$path"
done
"$work/root/usr/bin/flatline-exporter" --version | grep -q "^flatline-exporter $crate_version" || fail "the binary says another version"
bash -n "$work/root/usr/share/bash-completion/completions/flatline-exporter" || fail "bash refuses the completion"
python3 -m json.tool "$work/root/usr/share/doc/flatline-exporter/flatline-exporter.cdx.json" >/dev/null || fail "the bill is no JSON"
# No path of the machine that built it. A test's binary has them by right; the release is built without.
if [ -z "${FLATLINE_PACKAGE_BINARY:-}" ] && grep -qaF "$PWD" "$work/root/usr/bin/flatline-exporter"; then
    fail "the binary names $PWD"
fi

if command -v lintian >/dev/null; then
    step "lintian"
    # The project has no address of its own to put there; who publishes the package sets FLATLINE_PACKAGE_MAINTAINER.
    lintian --tag-display-limit 0 --allow-root --fail-on error \
        --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$old" || fail "lintian has errors"
else
    skip "lintian: not installed (apt-get install lintian)"
fi

for program in mmdebstrap cpio qemu-system-x86_64; do
    command -v "$program" >/dev/null || { skip "the package in a Debian guest: no $program"; exit 0; }
done
[ "$(dpkg --print-architecture)" = amd64 ] || { skip "the package in a Debian guest: amd64 only"; exit 0; }

cache=${FLATLINE_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flatline-lab}
mkdir -p "$cache"
base=$cache/debian-guest-1.cpio
kernel=$(find "$cache/linux-image-amd64" -name 'vmlinuz-*' 2>/dev/null | head -n1)
[ -n "$kernel" ] || { skip "the package in a Debian guest: no kernel in $cache (any guest test fetches it)"; exit 0; }
if [ ! -s "$base" ]; then
    step "a Debian with systemd, once (cached in $base)"
    mkdir "$work/debian"
    timeout 600 mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,libnss-systemd,init-system-helpers \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$work/debian.tar" ||
        { skip "the package in a Debian guest: mmdebstrap failed"; exit 0; }
    tar -x -C "$work/debian" -f "$work/debian.tar"
    rm -rf "$work/debian/var/cache/apt" "$work/debian/var/lib/apt/lists" "$work/debian.tar"
    # Dynamic users of services are resolved by systemd itself.
    ln -s /lib/systemd/systemd "$work/debian/init"
    (cd "$work/debian" && find . -print0 | cpio --quiet --null --create --format=newc) >"$base.$$"
    mv "$base.$$" "$base"
    rm -rf "$work/debian"
fi

step "a Debian with the packages"
new=$(scripts/package.sh "$work/3" "$crate_version+upgrade")
guest=$work/guest
mkdir -p "$guest/flatline" "$guest/etc/systemd/system/multi-user.target.wants"
cp "$old" "$guest/flatline/old.deb"
cp "$new" "$guest/flatline/new.deb"
echo "$crate_version" >"$guest/flatline/old.version"
echo "$crate_version+upgrade" >"$guest/flatline/new.version"
install -m 755 deploy/debian/test/in-guest.sh "$guest/flatline/test"
cat >"$guest/etc/systemd/system/package-test.service" <<'UNIT'
[Unit]
After=dbus.service systemd-user-sessions.service
[Service]
Type=exec
ExecStart=/flatline/test
UNIT
# An emulated machine takes its time; what is tested is whether the answers come, not how soon.
mkdir "$guest/etc/systemd/system/flatline-exporter.service.d"
printf '[Service]\nEnvironment=FLATLINE_COLLECTOR_UNITS_TIMEOUT=20s FLATLINE_SCRAPE_DEADLINE=30s\n' \
    >"$guest/etc/systemd/system/flatline-exporter.service.d/emulated.conf"
ln -s ../package-test.service "$guest/etc/systemd/system/multi-user.target.wants/"
(cd "$guest" && find . -print0 | cpio --quiet --null --create --format=newc --owner=0:0) >"$work/overlay.cpio"
cat "$base" "$work/overlay.cpio" >"$work/initrd"

step "boot"
: >"$work/console"
qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -machine pc -accel tcg,thread=multi -cpu max \
    -smp 2 -m 1536 -kernel "$kernel" -initrd "$work/initrd" -serial stdio \
    -append "console=ttyS0 psi=1 no_timer_check mitigations=off random.trust_cpu=on quiet systemd.show_status=0" \
    >"$work/console" 2>&1 </dev/null &
qemu=$!
deadline=$((SECONDS + ${FLATLINE_PACKAGE_GUEST_SECONDS:-600}))
until grep -qa 'FLATLINE-PACKAGE-\(PASSED\|FAILED\)' "$work/console"; do
    kill -0 "$qemu" 2>/dev/null || break
    [ $SECONDS -lt $deadline ] || { tail -n 60 "$work/console"; fail "the guest is not done after $SECONDS s"; }
    sleep 1
done
grep -a '^PACKAGE' "$work/console" || true
grep -qa FLATLINE-PACKAGE-PASSED "$work/console" || { tail -n 150 "$work/console"; fail "the package failed in the guest"; }
step "all passed"
