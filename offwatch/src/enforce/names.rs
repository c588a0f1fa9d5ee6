//! The names of features that users write: the kernel's, and the older ones of
//! `ethtool -K`, each of which stands for several of the kernel's.

use crate::sample::offloads::{FeatureNames, FeatureSet};

/// Names of `ethtool -K`, short and long, and what they stand for: `*` is any
/// text, also none. ethtool sends every name of the kernel that matches.
pub const GROUPS: [Group; 12] = [
    Group::new("rx", "rx-checksumming", "rx-checksum"),
    Group::new("tx", "tx-checksumming", "tx-checksum-*"),
    Group::new("sg", "scatter-gather", "tx-scatter-gather*"),
    Group::new("tso", "tcp-segmentation-offload", "tx-tcp*-segmentation"),
    Group::new("ufo", "udp-fragmentation-offload", "tx-udp-fragmentation"),
    Group::new(
        "gso",
        "generic-segmentation-offload",
        "tx-generic-segmentation",
    ),
    Group::new("gro", "generic-receive-offload", "rx-gro"),
    Group::new("lro", "large-receive-offload", "rx-lro"),
    Group::new("rxvlan", "rx-vlan-offload", "rx-vlan-hw-parse"),
    Group::new("txvlan", "tx-vlan-offload", "tx-vlan-hw-insert"),
    Group::new("ntuple", "ntuple-filters", "rx-ntuple-filter"),
    Group::new("rxhash", "receive-hashing", "rx-hashing"),
];

/// What people write for features that ethtool has no short name for.
const HABITS: [(&str, &str); 4] = [
    ("uso", "tx-udp-segmentation"),
    ("csum", "tx"),
    ("checksum", "tx"),
    ("hw-gro", "rx-gro-hw"),
];

/// No name is so long, and comparing takes time with the length.
const LONGEST_BYTES: usize = 80;
/// Below this two names have nothing to do with each other.
const LEAST_SIMILARITY: f64 = 0.7;

/// Features that `ethtool -K` takes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its short name.
    pub short: &'static str,
    /// Its long name, which `ethtool -k` prints.
    pub long: &'static str,
    pattern: &'static str,
}

impl Group {
    const fn new(short: &'static str, long: &'static str, pattern: &'static str) -> Self {
        Self {
            short,
            long,
            pattern,
        }
    }

    /// The group that a feature belongs to, by the kernel's name of it.
    pub fn of(kernel_name: &str) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.holds(kernel_name))
    }

    fn holds(&self, kernel_name: &str) -> bool {
        match self.pattern.split_once('*') {
            Some((start, end)) => kernel_name
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end)),
            None => kernel_name == self.pattern,
        }
    }
}

/// A name that stands for no feature of the running kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct UnknownFeature {
    /// What was written.
    pub text: String,
    /// What may have been meant.
    pub nearest: Option<String>,
    /// ethtool knows the name, and this kernel has nothing of it.
    pub is_of_other_kernels: bool,
}

impl UnknownFeature {
    fn told(&self) -> String {
        let text: String = self
            .text
            .chars()
            .take(60)
            .flat_map(char::escape_debug)
            .collect();
        match &self.nearest {
            _ if self.is_of_other_kernels => format!("this kernel has no feature of `{text}`"),
            Some(nearest) => format!("`{text}` is no feature of this kernel; `{nearest}` is"),
            None => format!("`{text}` is no feature of this kernel (ethtool -k names them)"),
        }
    }
}

/// The features that a name stands for: what `ethtool -K` makes of it. Of those
/// some may be fixed on an interface.
pub fn resolve(names: &FeatureNames, text: &str) -> Result<FeatureSet, UnknownFeature> {
    if let Some(bit) = names.bit(text).filter(|_| !text.is_empty()) {
        return Ok(FeatureSet::from_iter([bit]));
    }
    let group = GROUPS
        .iter()
        .find(|group| group.short == text || group.long == text);
    let set: FeatureSet = group
        .into_iter()
        .flat_map(|group| members(names, group))
        .collect();
    if !set.is_empty() {
        return Ok(set);
    }
    Err(UnknownFeature {
        text: text.to_owned(),
        nearest: nearest(names, text),
        is_of_other_kernels: group.is_some(),
    })
}

/// The features of a group.
fn members(names: &FeatureNames, group: &Group) -> impl Iterator<Item = usize> {
    let numbered = names.0.iter().enumerate();
    numbered.filter_map(|(bit, name)| group.holds(name).then_some(bit))
}

fn nearest(names: &FeatureNames, text: &str) -> Option<String> {
    if text.len() > LONGEST_BYTES {
        return None;
    }
    let text = text.to_lowercase().replace('_', "-");
    let habit = HABITS.iter().find(|(written, _)| *written == text);
    if let Some((_, name)) = habit {
        return resolve(names, name).is_ok().then(|| (*name).to_owned());
    }
    let groups = GROUPS
        .iter()
        .filter(|group| members(names, group).next().is_some());
    let known = groups
        .flat_map(|group| [group.short, group.long])
        .chain(names.0.iter().map(String::as_str));
    known
        .filter(|name| !name.is_empty())
        .map(|name| (strsim::normalized_damerau_levenshtein(&text, name), name))
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> FeatureNames {
        let names = [
            "tx-scatter-gather",
            "tx-checksum-ipv4",
            "",
            "tx-checksum-ip-generic",
            "tx-scatter-gather-fraglist",
            "tx-tcp-segmentation",
            "tx-tcp-ecn-segmentation",
            "tx-tcp-mangleid-segmentation",
            "tx-tcp6-segmentation",
            "tx-udp-segmentation",
            "rx-gro",
            "rx-gro-list",
            "rx-gro-hw",
            "rx-checksum",
            "tx-udp_tnl-segmentation",
        ];
        FeatureNames(names.map(String::from).to_vec())
    }

    fn resolved(text: &str) -> Vec<usize> {
        resolve(&names(), text).expect("known").iter().collect()
    }

    fn unknown(text: &str) -> UnknownFeature {
        resolve(&names(), text).expect_err("unknown")
    }

    #[test]
    fn names_of_ethtool_stand_for_all_that_it_sends() {
        assert_eq!(resolved("tso"), [5, 6, 7, 8]);
        assert_eq!(resolved("tcp-segmentation-offload"), resolved("tso"));
        assert_eq!(resolved("tx"), [1, 3]);
        assert_eq!(resolved("sg"), [0, 4]);
        assert_eq!(resolved("gro"), [10]);
        assert_eq!(resolved("rx"), [13]);
        assert_eq!(resolved("rx-gro-list"), [11]);
        assert_eq!(resolved("tx-tcp-segmentation"), [5]);
        // No text at all is no name, though a number may have none.
        assert_eq!(unknown("").nearest, None);
    }

    #[test]
    fn features_know_their_group() {
        let short = |name| Group::of(name).map(|group| group.short);
        assert_eq!(short("tx-tcp-accecn-segmentation"), Some("tso"));
        assert_eq!(short("tx-tcp-segmentation"), Some("tso"));
        assert_eq!(short("tx-checksum-sctp"), Some("tx"));
        assert_eq!(short("rx-gro-hw"), None);
        assert_eq!(short("tx-udp-segmentation"), None);
        assert_eq!(short("tx-tcp"), None);
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let nearest = |text| unknown(text).nearest;
        assert_eq!(
            nearest("tx-tcp-segmentaton").as_deref(),
            Some("tx-tcp-segmentation")
        );
        assert_eq!(nearest("TSO").as_deref(), Some("tso"));
        assert_eq!(nearest("rx_gro").as_deref(), Some("rx-gro"));
        assert_eq!(nearest("uso").as_deref(), Some("tx-udp-segmentation"));
        assert_eq!(nearest("scater-gather").as_deref(), Some("scatter-gather"));
        assert_eq!(nearest("turbo"), None);
        assert_eq!(nearest(&"tso-".repeat(1 << 20)), None);
        assert_eq!(
            unknown("uso").to_string(),
            "`uso` is no feature of this kernel; `tx-udp-segmentation` is"
        );
        assert!(unknown(&"x\n".repeat(900)).to_string().lines().count() == 1);
    }

    #[test]
    fn a_name_without_anything_in_this_kernel_says_so() {
        let ufo = unknown("ufo");
        assert!(ufo.is_of_other_kernels);
        assert_eq!(ufo.to_string(), "this kernel has no feature of `ufo`");
        // It is not offered either.
        assert_ne!(unknown("ufoo").nearest.as_deref(), Some("ufo"));
    }
}
