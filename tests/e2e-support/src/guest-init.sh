#!/bin/busybox sh
# First process of a guest. Parameters come from the kernel command line:
#   ow.ip=ADDRESS/PREFIX   address of eth0
#   ow.name=NAME           host name
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp

for module in /modules/*.ko; do
    insmod "$module" || echo "init: cannot load $module"
done

for word in $(cat /proc/cmdline); do
    case $word in
        ow.ip=*) address=${word#*=} ;;
        ow.name=*) hostname "${word#*=}" ;;
    esac
done
ip link set lo up
for device in /sys/class/net/eth*; do
    ip link set "${device##*/}" up
done
ip address add "$address" dev eth0

# `leave reboot` or `leave poweroff`. A card that is up may end in a loop: the kernel
# breaks its queues first, and cleaning a broken one never ends (mended in Linux by
# 0d0eff39ceb3, "virtio_ring: fix infinite loop in virtnet_poll_cleantx").
cat >/bin/leave <<'END'
#!/bin/sh
for device in /sys/class/net/eth*; do
    ip link set "${device##*/}" down
done
"$1" -f
END
# `virsh shutdown` presses the ACPI power button; acpid runs this file then.
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\nleave poweroff\n' >/etc/acpi/PWRF/00000080
chmod +x /bin/leave /etc/acpi/PWRF/00000080
acpid

# A server whose client vanished can hang; each client gets a fresh one.
while :; do
    iperf3 --server --one-off --idle-timeout 120 >/dev/null 2>&1
done &
# Ready is who serves: 5201 in hexadecimal.
until grep -qs ':1451 ' /proc/net/tcp /proc/net/tcp6; do
    sleep 0.1
done

echo "init: ready after $(cut -d' ' -f1 /proc/uptime) s"

# The command port: one shell for each connection. The loop keeps PID 1 alive.
while :; do
    nc -ll -p 7000 -e /bin/sh
    sleep 1
done
