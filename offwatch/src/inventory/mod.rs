//! Which interfaces and VMs exist on this host.

pub mod link;
#[allow(missing_docs)]
pub mod vms {
    use crate::sample::Vm;
    pub struct Vms;
    impl Vms {
        pub fn open(_: Option<String>) -> Result<Self, String> { Ok(Self) }
        pub fn list(&mut self) -> (Vec<Vm>, Vec<String>) { (vec![], vec![]) }
        pub fn interfaces_changed(&mut self) {}
        pub fn libvirt_state(&mut self) -> Result<String, String> { Err("stub".into()) }
    }
    pub fn unreadable_processes() -> usize { 0 }
}
