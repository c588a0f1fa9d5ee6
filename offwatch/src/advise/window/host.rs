//! The host in a window.

use super::{Release, Work};
use crate::{
    facts::Facts,
    model::{Cost, Means, Model, Protocols},
    sample::{
        Blind, Hook, Sample,
        evidence::{KernelLog, Sign},
        offloads::Fact,
    },
};

/// The host.
pub struct Host<'s> {
    /// Its name.
    pub name: &'s str,
    /// Kernel release.
    pub kernel: &'s str,
    /// The same as numbers.
    pub release: Option<Release>,
    /// Inode number of the observed network namespace.
    pub netns: u64,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// How packets are counted.
    pub hook: Hook,
    /// What cannot be seen.
    pub blind: Blind,
    /// How segmentation is counted where it is done, if it is.
    pub segmentation_by: Option<Means>,
    /// How checksums are counted where they are computed, if they are.
    pub checksums_by: Option<Means>,
    /// What software work costs here, as far as it was measured.
    pub cost: Cost,
    /// Signs that the kernel's log got within the window, or why that is not
    /// known.
    pub signs: Result<Vec<Sign>, &'s str>,
    /// The host's own TCP and UDP.
    pub protocols: Option<Protocols>,
    /// Segments cut for frames of the host itself or of unknown source; none
    /// where that cannot be seen.
    pub unattributed_cut: Option<u64>,
    /// Devices are known with their drivers, queues and stacking; or why not.
    pub devices: Result<(), &'s str>,
    /// VMs are known as they were set up; or why not.
    pub domains: Result<(), &'s str>,
    /// What the user should know about the whole window.
    pub notes: &'s [String],
}

impl<'s> Host<'s> {
    pub(super) fn new(
        earlier: &'s Sample,
        later: &'s Sample,
        model: &Model,
        facts: Option<&'s Facts>,
    ) -> Self {
        const NO_FACTS: &str = "how the host is set up was not gathered";
        let evidence = &later.host.evidence;
        let signs = match &evidence.kernel_log {
            Fact::Known(log) => Ok(grown(log, earlier.host.evidence.kernel_log.known())),
            Fact::Unavailable(reason) => Err(&**reason),
        };
        let unattributed = model.host.unattributed.as_ref();
        Self {
            name: &later.host.name,
            kernel: &later.host.kernel,
            release: Release::parse(&later.host.kernel),
            netns: later.host.netns,
            online_cpus: later.host.online_cpus,
            hook: later.host.hook,
            blind: later.host.blind(),
            segmentation_by: model.host.exact_hooks.segmentation,
            checksums_by: model.host.exact_hooks.checksum,
            cost: model.host.cost.clone(),
            signs,
            protocols: model.host.evidence.protocols.clone(),
            unattributed_cut: unattributed
                .and_then(|work| Work::caused(work, later.since(earlier).as_secs_f64()))
                .map(|work| work.segments),
            devices: facts.map_or(Err(NO_FACTS), |facts| known(&facts.devices)),
            domains: facts.map_or(Err(NO_FACTS), |facts| known(&facts.domains)),
            notes: &later.host.notes,
        }
    }

    /// Whether the log got such a sign within the window.
    pub fn has_sign(&self, sign: Sign) -> bool {
        self.signs.as_ref().is_ok_and(|signs| signs.contains(&sign))
    }
}

fn known<T>(fact: &Fact<T>) -> Result<(), &str> {
    fact.reason().map_or(Ok(()), Err)
}

fn grown(log: &KernelLog, before: Option<&KernelLog>) -> Vec<Sign> {
    let count = |sign| {
        let signs = before.into_iter().flat_map(|log| &log.signs);
        signs
            .filter(|found| found.sign == sign)
            .map(|found| found.count)
            .sum()
    };
    let signs = log.signs.iter();
    signs
        .filter(|found| found.count > count(found.sign))
        .map(|found| found.sign)
        .collect()
}
