#!/bin/busybox sh
# First process of a matrix guest. The kernel logs to the first serial port;
# what the tests print goes to the second, so that neither cuts the other's
# lines in two. Lines that begin with the mark are for the runner.
export PATH=/bin
/bin/busybox --install -s /bin 2>/dev/null
mark="@offwatch-vm:"

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
# What a kernel does not have is absent for the tests, too.
for system in tracefs:tracing debugfs:debug securityfs:security; do
    mount -t "${system%:*}" none "/sys/kernel/${system#*:}" 2>/dev/null
done
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
hostname offwatch-vm

tests() {
    while read -r module; do
        insmod "/modules/$module.ko" || echo "$mark unloadable $module"
    done </modules/order
    ip link set lo up
    echo "$mark ready"
    while read -r name; do
        echo "$mark begin $name"
        (
            cd /tmp || exit
            . /etc/offwatch/environment
            . /etc/offwatch/arguments
            exec "/tests/$name" "$@"
        ) </dev/null
        status=$?
        # On a line of its own, whatever the test wrote last.
        echo
        echo "$mark end $name $status"
    done </etc/offwatch/tests
    echo "$mark done"
}

# Closing the port waits until everything has been sent.
tests >/dev/ttyS1 2>&1
poweroff -f
