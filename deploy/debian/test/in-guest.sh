#!/bin/bash
# Runs as a service in a booted Debian: installs, upgrades, removes and purges the package as an administrator would.
set -euo pipefail
exec >/dev/ttyS0 2>&1

state=/var/lib/private/flatline
unit=flatline-exporter.service

finish() {
    if [ "$?" = 0 ]; then
        echo FLATLINE-PACKAGE-PASSED
    else
        systemctl --no-pager --full status $unit || true
        journalctl --no-pager --unit=$unit --lines=40 || true
        echo FLATLINE-PACKAGE-FAILED
    fi
    sync
    systemctl --force --force poweroff
}
trap finish EXIT

step() { echo "PACKAGE: $*"; }
fail() { echo "PACKAGE: wrong: $*"; exit 1; }
expect() { # DESCRIPTION COMMAND...
    local what=$1
    shift
    "$@" >/tmp/said 2>&1 || { cat /tmp/said; fail "$what"; }
}
scrape() {
    exec 3<>/dev/tcp/127.0.0.1/10120 || return 1
    printf 'GET /metrics HTTP/1.0\r\nAccept: text/plain\r\n\r\n' >&3
    cat <&3 >/tmp/metrics
    exec 3<&-
}
# A collector looks in its own time, and the machine is emulated.
served() { # SAMPLE
    for _ in $(seq 60); do
        if scrape && grep -q -- "^$1" /tmp/metrics; then return 0; fi
        sleep 1
    done
    grep '^flatline_collector_\|^flatline_build' /tmp/metrics || true
    fail "no sample $1"
}
running_as() { # VERSION
    expect "active after installing $1" systemctl --quiet is-active $unit
    expect "enabled" systemctl --quiet is-enabled $unit
    expect "dpkg knows $1" test "$(dpkg-query --show --showformat '${Version}' flatline-exporter)" = "$1"
}

step "install"
dpkg -i /flatline/old.deb
running_as "$(cat /flatline/old.version)"
served "flatline_build_info"

step "the unit cuts off nothing that the collectors need"
for collector in units pressure memcg kernel_log journal tasks boots reachability crash_capture host_facts; do
    served "flatline_collector_success{collector=\"$collector\"} 1"
done
served "flatline_tasks_wchan_readable 1"
uid=$(awk '/^Uid:/ { print $2 }' /proc/"$(systemctl show --value --property MainPID $unit)"/status)
expect "it is no root" test "$uid" != 0

step "upgrade keeps configuration and state"
echo "# mine" >>/etc/flatline/exporter.yml
echo "FLATLINE_SCRAPE_DEADLINE=700ms" >>/etc/default/flatline-exporter
expect "there is state" test -n "$(ls -A $state)"
echo kept >$state/of-the-administrator
boots=$(flatline-exporter boots | wc -l)
pid=$(systemctl show --value --property MainPID $unit)
dpkg -i /flatline/new.deb </dev/null
running_as "$(cat /flatline/new.version)"
served "flatline_build_info"
expect "the new version runs" test "$(systemctl show --value --property MainPID $unit)" != "$pid"
expect "configuration is kept" grep -q "^# mine" /etc/flatline/exporter.yml
expect "environment is kept" grep -q 700ms /etc/default/flatline-exporter
expect "state is kept" grep -q kept $state/of-the-administrator
expect "boots are kept" test "$(flatline-exporter boots | wc -l)" = "$boots"

step "who disabled the unit finds it disabled after an upgrade"
systemctl --quiet disable --now $unit
dpkg -i /flatline/new.deb </dev/null
if systemctl --quiet is-enabled $unit; then fail "enabled by an upgrade"; fi

step "remove stops it and keeps configuration and state"
systemctl --quiet enable --now $unit
dpkg -r flatline-exporter
if systemctl --quiet is-active $unit; then fail "still running"; fi
expect "state is kept by remove" grep -q kept $state/of-the-administrator
expect "configuration is kept by remove" grep -q "^# mine" /etc/flatline/exporter.yml

step "install again, purge: nothing is left"
dpkg -i /flatline/new.deb </dev/null
served "flatline_build_info"
dpkg -P flatline-exporter
left=$(find / -xdev \( -path /flatline -o -path /proc -o -path /sys -o -path /tmp -o -path /etc/systemd/system/flatline-exporter.service.d -o -path /var/log/journal -o -path /run/log \) -prune -o -name '*flatline*' -print)
# dpkg's own caches of what it read are not the package's.
[ -z "$left" ] || fail "left behind: $left"
if getent passwd flatline-exporter >/dev/null; then fail "a user is left"; fi
