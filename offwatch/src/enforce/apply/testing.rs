//! A kernel in memory, with the ways of the real one.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
};

use tempfile::TempDir;

use super::{Enforcer, Recovered, Settings};
use crate::{
    enforce::{
        error::EnforceError,
        here::Here,
        kernel::{Kernel, Refusal, Reply, Request},
        plan::{Change, Why},
        target::Id,
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

pub(crate) const CHECKSUM: usize = 0;
/// Needs [`CHECKSUM`].
pub(crate) const TSO: usize = 1;
pub(crate) const GRO: usize = 2;
/// Cannot be switched.
pub(crate) const FIXED: usize = 3;
/// Goes off with [`GRO`] where a device is said to be odd.
pub(crate) const ODD: usize = 4;

const NAMES: [&str; 5] = [
    "tx-checksum-ip-generic",
    "tx-tcp-segmentation",
    "rx-gro",
    "loopback",
    "rx-odd",
];

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) dev: String,
    pub(crate) features: Features,
    /// What its guest's driver accepts of [`CHECKSUM`] and [`TSO`].
    pub(crate) accepts: FeatureSet,
    /// Every change is refused.
    pub(crate) refuses: bool,
    /// So it is, for want of a permission.
    pub(crate) permits: bool,
    pub(crate) is_odd: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) devices: BTreeMap<u32, Device>,
    /// Everything that was asked for.
    pub(crate) sent: Vec<(String, Request)>,
}

#[derive(Clone, Default)]
pub(crate) struct InMemory(pub(crate) Rc<RefCell<Host>>);

pub(crate) fn set(bits: &[usize]) -> FeatureSet {
    bits.iter().copied().collect()
}

impl InMemory {
    /// With interfaces that have all features on.
    pub(crate) fn with(devices: &[&str]) -> Self {
        let host = Self::default();
        for dev in devices {
            host.add(dev);
        }
        host
    }

    pub(crate) fn add(&self, dev: &str) -> u32 {
        let mut host = self.0.borrow_mut();
        let ifindex = host.devices.keys().last().copied().unwrap_or(0) + 1;
        let all = set(&[CHECKSUM, TSO, GRO, ODD]);
        let device = Device {
            dev: dev.into(),
            features: Features {
                changeable: all,
                wanted: all,
                active: all,
                never_changed: set(&[FIXED]),
            },
            accepts: all,
            refuses: false,
            permits: true,
            is_odd: false,
        };
        host.devices.insert(ifindex, device);
        ifindex
    }

    pub(crate) fn edit(&self, dev: &str, edit: impl FnOnce(&mut Device)) {
        let mut host = self.0.borrow_mut();
        let mut devices = host.devices.values_mut();
        edit(devices.find(|device| device.dev == dev).expect("a device"));
    }

    /// What a guest's driver does that accepts these of [`CHECKSUM`] and [`TSO`]; none
    /// is what there is before a driver.
    pub(crate) fn negotiate(&self, dev: &str, accepts: &[usize]) {
        self.edit(dev, |device| {
            device.accepts = set(accepts);
            let others = device.features.wanted - set(&[CHECKSUM, TSO]);
            device.features.wanted = others | device.accepts;
            device.features.active = computed(device.features.wanted, device.accepts);
        });
    }

    pub(crate) fn features(&self, dev: &str) -> Features {
        let host = self.0.borrow();
        let mut devices = host.devices.values();
        devices
            .find(|device| device.dev == dev)
            .expect("a device")
            .features
    }

    pub(crate) fn sent(&self) -> Vec<(String, Request)> {
        std::mem::take(&mut self.0.borrow_mut().sent)
    }

    pub(crate) fn id(&self, dev: &str) -> Id {
        let host = self.0.borrow();
        let mut devices = host.devices.iter();
        let (ifindex, _) = devices.find(|(_, device)| device.dev == dev).expect("it");
        Id {
            netns: Here::now().expect("here").netns,
            ifindex: *ifindex,
            dev: dev.into(),
        }
    }

    /// A change with what the kernel will make of it.
    pub(crate) fn change(&self, dev: &str, switches: &[(usize, bool)]) -> Change {
        let before = self.features(dev);
        let mut asked = Request::default();
        for (bit, on) in switches {
            asked.switch(*bit, *on);
        }
        let send = Request::between(before.wanted, asked.applied_to(before.wanted));
        Change {
            id: self.id(dev),
            owner: None,
            is_tap: false,
            master: None,
            why: Why {
                reason: Some("a test".into()),
                ..Why::default()
            },
            before,
            asked,
            send,
            predicted_active: computed(send.applied_to(before.wanted), before.changeable),
            uncertain: FeatureSet::default(),
            unmet: Vec::new(),
            lost_at_negotiation: FeatureSet::default(),
        }
    }
}

/// What is on of what is wanted, with a guest that accepts this.
fn computed(wanted: FeatureSet, accepts: FeatureSet) -> FeatureSet {
    let active = wanted - (set(&[CHECKSUM, TSO]) - accepts);
    match active.contains(CHECKSUM) {
        true => active,
        false => active - set(&[TSO]),
    }
}

impl Kernel for InMemory {
    fn names(&mut self) -> io::Result<FeatureNames> {
        Ok(FeatureNames(NAMES.map(str::to_owned).to_vec()))
    }

    fn of(&mut self, id: &Id) -> Result<Features, Refusal> {
        let host = self.0.borrow();
        let device = host.devices.get(&id.ifindex);
        let device = device.filter(|device| device.dev == id.dev);
        device
            .map(|device| device.features)
            .ok_or_else(|| Refusal::Gone(id.clone()))
    }

    fn list(&mut self) -> io::Result<Vec<(u32, Features)>> {
        let host = self.0.borrow();
        let devices = host.devices.iter();
        Ok(devices
            .map(|(ifindex, device)| (*ifindex, device.features))
            .collect())
    }

    fn set(&mut self, id: &Id, request: &Request) -> Result<Reply, Refusal> {
        let before = self.of(id)?;
        let mut host = self.0.borrow_mut();
        host.sent.push((id.dev.clone(), *request));
        let device = host.devices.get_mut(&id.ifindex).expect("it is there");
        if !device.permits {
            return Err(Refusal::NotPermitted);
        }
        if device.refuses {
            return Err(Refusal::Other {
                source: io::Error::from_raw_os_error(libc::EOPNOTSUPP),
                told: Some("no".into()),
            });
        }
        let features = &mut device.features;
        features.wanted = request.applied_to(features.wanted) & features.changeable;
        features.active = computed(features.wanted, device.accepts);
        if device.is_odd && !features.active.contains(GRO) {
            features.active = features.active - set(&[ODD]);
        }
        Ok(Reply {
            unmet: (features.active ^ request.on) & request.mask,
            changed: before.active ^ features.active,
        })
    }
}

/// A state directory, and a watchdog that only lives as long as its enforcer.
pub(crate) struct State {
    directory: TempDir,
}

impl State {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let program = directory.path().join("watchdog");
        fs::write(&program, "#!/bin/sh\nprintf .\nexec cat >/dev/null\n").expect("written");
        fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).expect("executable");
        Self { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            watchdog: self.directory.path().join("watchdog"),
            ..Settings::new(&self.path())
        }
    }

    pub(crate) fn open(&self, host: &InMemory) -> Result<(Enforcer, Recovered), EnforceError> {
        Enforcer::open(Box::new(host.clone()), self.settings())
    }

    pub(crate) fn enforcer(&self, host: &InMemory) -> Enforcer {
        self.open(host).expect("an enforcer").0
    }

    pub(crate) fn read(&self, file: impl AsRef<Path>) -> String {
        fs::read_to_string(self.path().join(file)).expect("a file")
    }
}
