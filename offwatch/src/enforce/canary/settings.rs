//! How a canary is judged: `[canary]` of the policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long is measured, and how much worse an interface may fare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Length of a window, seconds: 1 to 3600. 10 by default.
    pub seconds: u32,
    /// Windows before and after each change: 2 to 60. 3 by default. How much those
    /// before differ from each other is the noise.
    pub windows: u32,
    /// Time between a change and the first window after it, seconds: up to 3600. 1 by
    /// default.
    pub settle_seconds: u32,
    /// Interfaces of the second stage: 1 or more. 4 by default.
    pub few: u32,
    /// How often windows may be repeated because a guest negotiated in them. 3 by
    /// default.
    pub restarts: u32,
    /// Fall of throughput that is harm, percent: 1 to 99. 20 by default.
    pub throughput_fall_percent: f64,
    /// Rise of the CPU time per byte that is harm, percent: 1 or more. 50 by default.
    pub cost_rise_percent: f64,
    /// Rise of the share of frames that are dropped that is harm, percentage points:
    /// above 0, up to 100. 0.1 by default.
    pub drops_percent: f64,
    /// Rise of the share of TCP segments that are sent again that is harm, percentage
    /// points: above 0, up to 100. 1 by default.
    pub retransmits_percent: f64,
    /// Rise of the share of frames that are dropped for a wrong checksum that is
    /// harm, percentage points: above 0, up to 100. 0.01 by default.
    pub checksum_drops_percent: f64,
    /// An interface with fewer bytes a second, both ways together, is not judged.
    /// 10,000 by default.
    pub floor_bytes_per_s: f64,
    /// Nor is one with fewer frames in all windows before, or after. 100 by default.
    pub floor_packets: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seconds: 10,
            windows: 3,
            settle_seconds: 1,
            few: 4,
            restarts: 3,
            throughput_fall_percent: 20.0,
            cost_rise_percent: 50.0,
            drops_percent: 0.1,
            retransmits_percent: 1.0,
            checksum_drops_percent: 0.01,
            floor_bytes_per_s: 10_000.0,
            floor_packets: 100,
        }
    }
}

impl Settings {
    /// What is wrong with a value: the field and what it must be; `None` if nothing is.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let percentages = [
            ("drops_percent", self.drops_percent),
            ("retransmits_percent", self.retransmits_percent),
            ("checksum_drops_percent", self.checksum_drops_percent),
        ];
        let in_vain = |value: &f64| !(*value > 0.0 && *value <= 100.0);
        if !(1..=3600).contains(&self.seconds) {
            return Some(("seconds", "must be 1 to 3600"));
        }
        if !(2..=60).contains(&self.windows) {
            return Some(("windows", "must be 2 to 60"));
        }
        if self.settle_seconds > 3600 {
            return Some(("settle_seconds", "must be at most 3600"));
        }
        if self.few == 0 {
            return Some(("few", "must be 1 or more"));
        }
        if !(1.0..=99.0).contains(&self.throughput_fall_percent) {
            return Some(("throughput_fall_percent", "must be 1 to 99"));
        }
        if !(1.0..=1e6).contains(&self.cost_rise_percent) {
            return Some(("cost_rise_percent", "must be 1 to 1000000"));
        }
        if let Some((field, _)) = percentages.iter().find(|(_, value)| in_vain(value)) {
            return Some((field, "must be above 0 and at most 100"));
        }
        if !(1.0..=1e12).contains(&self.floor_bytes_per_s) {
            return Some(("floor_bytes_per_s", "must be 1 to 1000000000000"));
        }
        if self.floor_packets == 0 {
            return Some(("floor_packets", "must be 1 or more"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
        assert_eq!(toml::from_str(""), Ok(Settings::default()));
        let settings: Settings = toml::from_str("seconds = 5\ndrops_percent = 2").unwrap();
        assert_eq!((settings.seconds, settings.drops_percent), (5, 2.0));
        assert_eq!(settings.windows, 3);
        assert!(toml::from_str::<Settings>("second = 5").is_err());
    }

    #[test]
    fn values_out_of_range_are_told() {
        assert_eq!(Settings::default().problem(), None);
        for (text, field) in [
            ("seconds = 0", "seconds"),
            ("seconds = 3601", "seconds"),
            ("windows = 1", "windows"),
            ("settle_seconds = 4000", "settle_seconds"),
            ("few = 0", "few"),
            ("throughput_fall_percent = 100", "throughput_fall_percent"),
            ("cost_rise_percent = 0", "cost_rise_percent"),
            ("drops_percent = 0", "drops_percent"),
            ("retransmits_percent = nan", "retransmits_percent"),
            ("checksum_drops_percent = 101", "checksum_drops_percent"),
            ("floor_bytes_per_s = -1", "floor_bytes_per_s"),
            ("floor_packets = 0", "floor_packets"),
        ] {
            let settings: Settings = toml::from_str(text).expect(text);
            let told = settings.problem().map(|(field, _)| field);
            assert_eq!(told, Some(field), "{text}");
        }
    }
}
