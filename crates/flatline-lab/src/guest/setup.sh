#!/bin/sh
# Run once by init: a machine with its file systems, cgroups, network and disks, then the test's own script.
set -eu
trap 'echo FLATLINE-LAB-FAILED' EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo '+memory +io +cpu +pids' >/sys/fs/cgroup/cgroup.subtree_control
mkdir /run/lab
hostname guest

for module in /lab/modules/*.ko; do insmod "$module"; done

ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2

. /lab/disks
sh -e /lab/script

trap - EXIT
echo FLATLINE-LAB-READY
