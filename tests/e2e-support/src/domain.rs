//! Guests and their libvirt domain XML.

use std::net::Ipv4Addr;
use std::path::Path;

/// A guest to define. Start from [`GuestSpec::new`] and change what matters.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// Domain name, and host name in the guest.
    pub name: String,
    /// Address of the guest's eth0, in the bridge's /24.
    pub ip: Ipv4Addr,
    /// MAC address of eth0.
    pub mac: String,
    /// Queue pairs of eth0. The guest uses as many as it has CPUs.
    pub queues: u8,
    /// CPUs. QEMU emulates each on a thread of its own.
    pub vcpus: u8,
    /// Memory in MiB; 128 is enough for all but long iperf3 runs.
    pub memory_mib: u32,
    /// XML inside eth0's `<driver>`: `<host tso4='off'/>`, `<guest csum='off'/>`.
    pub driver_xml: String,
    /// XML inside eth0's `<interface>`: `<target dev='web0'/>`, `<mtu size='9000'/>`.
    pub interface_xml: String,
    /// XML inside `<devices>`, after eth0: further interfaces.
    pub devices_xml: String,
}

impl GuestSpec {
    /// A guest with one virtio interface on the bridge. `number` (2 to 254) is
    /// the last part of its IP and MAC addresses.
    pub fn new(name: &str, number: u8) -> Self {
        Self {
            name: name.to_owned(),
            ip: Ipv4Addr::new(198, 18, 1, number),
            mac: format!("52:54:00:0f:01:{number:02x}"),
            queues: 1,
            vcpus: 1,
            memory_mib: 192,
            driver_xml: String::new(),
            interface_xml: String::new(),
            devices_xml: String::new(),
        }
    }

    /// The domain XML. ACPI and APIC are asked for because libvirt turns both
    /// off otherwise: then virtio-pci gets no interrupt and the guest cannot be
    /// shut down.
    pub(crate) fn xml(&self, kernel: &Path, initrd: &Path, console: &Path, bridge: &str) -> String {
        let Self {
            name,
            ip,
            mac,
            memory_mib,
            driver_xml,
            interface_xml,
            devices_xml,
            ..
        } = self;
        let vcpus = self.vcpus.max(self.queues);
        let queues = match self.queues {
            0 | 1 => String::new(),
            queues => format!(" queues='{queues}'"),
        };
        // `panic=1` makes a broken guest visible as a reboot, not as silence; at this
        // log level a kernel that stands still says where.
        format!(
            "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 loglevel=5 panic=1 mitigations=off ow.ip={ip}/24 ow.name={name}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <on_reboot>restart</on_reboot>
  <devices>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{bridge}'/>
      <model type='virtio'/>
      <driver name='qemu'{queues}>{driver_xml}</driver>
      {interface_xml}
    </interface>
    {devices_xml}
    <serial type='file'><source path='{console}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
",
            kernel = kernel.display(),
            initrd = initrd.display(),
            console = console.display(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_gets_a_cpu() {
        let mut guest = GuestSpec::new("web", 11);
        guest.queues = 2;
        guest.driver_xml = "<host tso4='off'/>".into();
        let path = Path::new("/x");
        let xml = guest.xml(path, path, path, "br0");
        assert!(xml.contains("<vcpu>2</vcpu>"));
        assert!(xml.contains("<driver name='qemu' queues='2'><host tso4='off'/></driver>"));
        assert!(xml.contains("52:54:00:0f:01:0b"));
    }
}
