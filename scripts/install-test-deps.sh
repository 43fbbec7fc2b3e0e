#!/usr/bin/env bash
# Installs from Debian what the tests need; does nothing when all of it is there. As root, or by sudo.
# None of the daemons among them is started, now or by this installation.
set -euo pipefail

packages=(
    prometheus prometheus-alertmanager prometheus-node-exporter # the real far end, and what we are measured beside
    qemu-system-x86 busybox-static e2fsprogs xz-utils           # guests; their kernel is fetched at first use
    qemu-utils patchelf                                          # disks that can die; a newer QEMU, fetched likewise
    systemd                                                      # its score of the unit
    nfs-ganesha nfs-ganesha-mem                                  # a server of network mounts that can be stopped
    curl python3 util-linux iproute2 dbus-daemon                 # clients and limits of the fault tests; networks and buses
    g++                                                          # libFuzzer
    dpkg-dev lintian mmdebstrap cpio                             # the package, and a Debian to install it in
)

installed() {
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
# Sets `missing`, and is true where nothing is.
all_installed() {
    missing=()
    local package
    for package in "${packages[@]}"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ]
}
if all_installed; then
    exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "not root and no sudo; as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# Debian's way of saying "start no service": a policy-rc.d that answers 101. An existing one is put back.
policy=/usr/sbin/policy-rc.d
restore() {
    if [ -e "$policy.flatline" ]; then
        "${as_root[@]}" mv "$policy.flatline" "$policy"
    else
        "${as_root[@]}" rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    "${as_root[@]}" mv "$policy" "$policy.flatline"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
"${as_root[@]}" chmod 755 "$policy"

new=()
"${as_root[@]}" apt-get -qq update
# Again, where apt has removed one for another: a qemu-utils of backports does not go with the QEMU of the release.
for _ in first second; do
    all_installed && break
    echo "installing from Debian: ${missing[*]}"
    new+=("${missing[@]}")
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
done
if ! all_installed; then
    echo "apt-get does not keep these beside the others: ${missing[*]}" >&2
    exit 1
fi

# Nor at the next boot, where systemd runs the machine.
if command -v systemctl >/dev/null; then
    for package in "${new[@]}"; do
        case $package in
        prometheus* | nfs-ganesha) "${as_root[@]}" systemctl --quiet disable "$package.service" ;;
        esac
    done
fi
echo "installed; none of the daemons was started"
