use std::collections::BTreeMap;

use super::{super::path::Passed, LoginError, verdict};
use crate::facts::device::Device;

#[test]
fn what_is_sure_is_told_before_what_is_not() {
    let device = |ifindex: u32| Device {
        ifindex,
        dev: format!("dev{ifindex}"),
        ..Device::default()
    };
    let devices: BTreeMap<u32, Device> = [1, 2].map(|of| (of, device(of))).into();
    let client = "192.0.2.7".parse().unwrap();
    let mut passed = Passed::default();
    passed.perhaps.insert(1, "nobody knows".into());
    passed.surely.insert(2);
    let told = |ifindexes: &[u32]| verdict(&passed, &devices, client, ifindexes);
    let carries = LoginError::Carries {
        dev: "dev2".into(),
        client,
    };
    assert_eq!(told(&[1, 2]), Err(carries));
    assert!(matches!(told(&[1]), Err(LoginError::Unknown { dev, .. }) if dev == "dev1"));
    assert_eq!(told(&[3]), Ok(()));
}
