# First process of the private namespaces: turns them into a virtualisation host
# and then only waits. Everything here is invisible outside.
set -eu

mount -t proc proc /proc

# A sysfs mounted in this network namespace shows its devices. cgroups stay
# unmounted: libvirt would leave directories in the real ones.
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
for fs in tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug \
    securityfs:/sys/kernel/security bpf:/sys/fs/bpf; do
    mount -t "${fs%%:*}" "${fs%%:*}" "${fs#*:}" 2>/dev/null || :
done

# All state is on this tmpfs, which ends with the mount namespace.
mount -t tmpfs -o mode=755 tmpfs /run
state=/run/offwatch-e2e
for dir in etc var; do
    mkdir -p "$state/overlay/$dir/upper" "$state/overlay/$dir/work"
    mount -t overlay overlay "/$dir" \
        -o "lowerdir=/$dir,upperdir=$state/overlay/$dir/upper,workdir=$state/overlay/$dir/work"
done
# The real host may run libvirt too: none of its domains may be seen here.
for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$dir"
    mount -t tmpfs -o mode=755 tmpfs "$dir"
done

# The QEMU driver resolves its compiled-in user before it reads qemu.conf.
for name in libvirt-qemu kvm; do
    grep -q "^$name:" /etc/group || echo "$name:x:64055:" >>/etc/group
done
grep -q '^libvirt-qemu:' /etc/passwd ||
    echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd

# No polkit, no security module, no virtlogd, no cgroups, no /dev per guest.
cat >/etc/libvirt/libvirtd.conf <<'END'
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
log_outputs = "3:stderr"
END
cat >/etc/libvirt/qemu.conf <<'END'
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
END

ip link set lo up
ip link add "$OW_BRIDGE" type bridge
ip address add "$OW_ADDRESS/24" dev "$OW_BRIDGE"
ip link set "$OW_BRIDGE" up

echo READY
# End of file comes when the harness drops the pipe or dies. This process then
# ends, and the kernel ends all others of the namespace. Ignoring SIGCHLD makes
# the kernel reap: a QEMU process is a child of this one, and libvirt takes a
# zombie for a guest that refuses to die. (A shell would not do: dash's `read`
# returns on SIGCHLD, trapped or not.)
exec env --ignore-signal=CHLD cat >/dev/null
