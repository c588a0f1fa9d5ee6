//! What VMs are called in labels: no two have one name.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::sample::Vm;

/// A name for each VM, in their order. Of those that share one, as a VM of the
/// system's libvirt and one of a user's, the first keeps it; the UUID is added to
/// that of the others, or a number if that is not enough.
pub(super) fn names(vms: &[Vm]) -> Vec<Arc<str>> {
    let mut taken: HashSet<Arc<str>> = HashSet::with_capacity(vms.len());
    let unique = vms.iter().map(|vm| {
        let with_uuid = vm.uuid.as_ref().map(|uuid| format!("{} ({uuid})", vm.name));
        let numbered = (2_u32..).map(|number| format!("{} #{number}", vm.name));
        let first = std::iter::once(Arc::clone(&vm.name));
        let further = with_uuid.into_iter().chain(numbered).map(Arc::from);
        let mut free = first.chain(further).filter(|name| !taken.contains(name));
        let name = free.next().unwrap_or_default();
        drop(free);
        taken.insert(Arc::clone(&name));
        name
    });
    unique.collect()
}

/// The same by name and UUID, for whoever tells of a VM by these.
pub(super) fn by_identity<'vms>(
    vms: &'vms [Vm],
    names: &[Arc<str>],
) -> HashMap<(&'vms str, Option<&'vms str>), Arc<str>> {
    let mut by_identity = HashMap::with_capacity(vms.len());
    for (vm, name) in vms.iter().zip(names) {
        by_identity
            .entry((&*vm.name, vm.uuid.as_deref()))
            .or_insert_with(|| Arc::clone(name));
    }
    by_identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_first_keeps_its_own() {
        let vm = |name: &str, uuid: Option<&str>| Vm {
            name: name.into(),
            uuid: uuid.map(Into::into),
            ..Vm::default()
        };
        let vms = [
            vm("web", Some("1")),
            vm("db", None),
            vm("web", Some("2")),
            vm("web", Some("2")),
            vm("web", None),
        ];
        let names = names(&vms);
        let told: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(told, ["web", "db", "web (2)", "web #2", "web #3"]);
        let by_identity = by_identity(&vms, &names);
        assert_eq!(&*by_identity[&("web", Some("2"))], "web (2)");
    }
}
