#!/bin/sh
# Runs what the host asks for, one command at a time; the protocol is described in agent.rs.
for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = flatline.agent ] && port=/dev/$(basename "$(dirname "$name")")
done
exec 3<>"$port"
cd /root || exit
while read -r number seconds hex <&3; do
    printf %s "$hex" | xxd -r -p >/run/lab/command
    timeout -s KILL "$seconds" sh /run/lab/command </dev/null 3<&- >/run/lab/out 2>/run/lab/err
    status=$?
    # A command left in the background may still be writing: the sizes are those of the copies.
    cp /run/lab/out /run/lab/out.done
    cp /run/lab/err /run/lab/err.done
    printf '%s %s %s %s\n' "$number" "$status" "$(stat -c %s /run/lab/out.done)" "$(stat -c %s /run/lab/err.done)" >&3
    cat /run/lab/out.done /run/lab/err.done >&3
done
