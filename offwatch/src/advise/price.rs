//! What software work costs: units times the cost of one, with the basis of
//! each figure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::Text;
pub use super::unit::UnitCost;

/// A price, or what would be saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of what.
    pub of: Text,
    /// Whether the advice saves it, or avoids it.
    pub effect: Effect,
    /// CPUs, all parts together.
    pub cores: Range,
    /// The parts.
    pub parts: Vec<Part>,
    /// What becomes of the throughput.
    pub throughput: Option<Throughput>,
}

/// What following the advice does with a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is paid now, and no more afterwards.
    Saves,
    /// It would be paid if the advice were not followed.
    Avoids,
    /// It is paid afterwards.
    Costs,
}

/// A figure with its uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// Most likely.
    pub value: f64,
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

impl Range {
    pub(super) const fn new(value: f64, low: f64, high: f64) -> Self {
        Self { value, low, high }
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self::new(self.value * factor, self.low * factor, self.high * factor)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self::new(
            self.value + other.value,
            self.low + other.low,
            self.high + other.high,
        )
    }
}

/// One kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// What is done.
    pub what: Text,
    /// How often a second.
    pub per_s: f64,
    /// What one takes, nanoseconds.
    pub ns_each: Range,
    /// What all take, CPUs.
    pub cores: Range,
    /// Where `ns_each` is from.
    pub basis: Basis,
}

/// Where the cost of a unit is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Basis {
    /// It was timed on this host, at the kernel function that does it.
    MeasuredHere {
        /// Calls that were timed.
        calls: u64,
        /// How.
        by: Text,
    },
    /// A trial on this host measured what a change of features costs, and it is what
    /// remains of that beside the other parts.
    Trial {
        /// Of which VM or interface.
        of: Text,
        /// Rounds that were measured.
        rounds: u64,
        /// It is what the VM's process takes alone: what the whole host takes could not
        /// be told from what else ran, and is more.
        vm_alone: bool,
    },
    /// It is a figure from elsewhere.
    Table {
        /// From where.
        source: Text,
    },
}

impl Basis {
    /// Whether it was measured on this host.
    pub fn is_measured(&self) -> bool {
        matches!(self, Self::MeasuredHere { .. } | Self::Trial { .. })
    }

    /// In a few words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MeasuredHere { .. } => "measured on this host",
            Self::Trial { .. } => "measured by a trial on this host",
            Self::Table { .. } => "table",
        }
    }
}

/// What becomes of the throughput.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Now, Gbit/s.
    pub now_gbit_per_s: f64,
    /// Afterwards, Gbit/s.
    pub then_gbit_per_s: Range,
    /// Where the forecast is from.
    pub basis: Text,
}

/// A thread that carries frames has no reserve above this share of a CPU.
const BUSY_CPU: f64 = 0.7;
/// What remained of the throughput where offloads were off and a CPU was full.
const KEPT: (Range, &str) = (
    Range::new(0.42, 0.25, 0.87),
    "median and range of published comparisons: KubeVirt 67e5225697, minikube#22962, Linux \
     398f187d74b8 and 0a6b2a1dc2a2, lkl#183",
);

impl Price {
    /// Of nothing yet.
    pub fn new(of: impl Into<Text>, effect: Effect) -> Self {
        Self {
            of: of.into(),
            effect,
            cores: Range::default(),
            parts: Vec::new(),
            throughput: None,
        }
    }

    /// Adds work that is done so often a second.
    #[must_use]
    pub fn part(mut self, what: impl Into<Text>, per_s: f64, cost: UnitCost) -> Self {
        if per_s <= 0.0 {
            return self;
        }
        let cores = cost.ns.times(per_s / 1e9);
        self.cores = self.cores.plus(cores);
        self.parts.push(Part {
            what: what.into(),
            per_s,
            ns_each: cost.ns,
            cores,
            basis: cost.basis,
        });
        self
    }

    /// Adds what becomes of `now_bits_per_s` if the work comes on top of what
    /// the VM's vhost threads use now.
    #[must_use]
    pub fn on_top_of(mut self, now_bits_per_s: f64, vhost_cpus: Option<f64>) -> Self {
        const UNCHANGED: &str = "the work fits beside what the vhost threads do now: CPU time \
            rises, throughput stays";
        const UNKNOWN: &str = "the work fits on one CPU if what carries the frames now leaves \
            room for it, which is not known";
        let now = now_bits_per_s / 1e9;
        let is_full = self.cores.value + vhost_cpus.unwrap_or(0.0) > BUSY_CPU;
        let (then, basis) = match (is_full, vhost_cpus) {
            (true, _) => (KEPT.0.times(now), KEPT.1),
            (false, Some(_)) => (Range::new(now, now, now), UNCHANGED),
            (false, None) => (Range::new(now, now * KEPT.0.low, now), UNKNOWN),
        };
        self.throughput = Some(Throughput {
            now_gbit_per_s: now,
            then_gbit_per_s: then,
            basis: basis.into(),
        });
        self
    }

    /// CPU time that it adds to each byte of so many a second, nanoseconds; negative
    /// if it is saved. `None` of no bytes.
    pub fn added_ns_per_byte(&self, bytes_per_s: f64) -> Option<Range> {
        if bytes_per_s <= 0.0 {
            return None;
        }
        let Range { value, low, high } = self.cores.times(1e9 / bytes_per_s);
        Some(match self.effect {
            Effect::Saves => Range::new(-value, -high, -low),
            Effect::Avoids | Effect::Costs => Range::new(value, low, high),
        })
    }

    /// Whether all of it was measured on this host.
    pub fn is_measured(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.all(|part| part.basis.is_measured())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_the_sum_of_its_parts() {
        let price = Price::new("all", Effect::Costs)
            .part("frames", 100_000.0, UnitCost::frame_of_table())
            .part("nothing", 0.0, UnitCost::frame_of_table())
            .part("frames again", 50_000.0, UnitCost::frame_of_table());
        assert_eq!(price.parts.len(), 2);
        assert!((price.cores.value - 0.3).abs() < 1e-9);
        assert!((price.cores.high - 0.675).abs() < 1e-9);
        assert!(!price.is_measured());
    }

    #[test]
    fn throughput_falls_only_where_a_cpu_is_full() {
        let price =
            |frames| Price::new("all", Effect::Costs).part("f", frames, UnitCost::frame_of_table());
        let room = price(100_000.0).on_top_of(1e9, Some(0.1));
        let room = room.throughput.expect("a forecast").then_gbit_per_s;
        assert_eq!((room.low, room.high), (1.0, 1.0));
        let full = price(100_000.0).on_top_of(1e9, Some(0.6));
        let full = full.throughput.expect("a forecast").then_gbit_per_s;
        assert_eq!(full.value, 0.42);
        let unknown = price(100_000.0).on_top_of(1e9, None);
        let unknown = unknown.throughput.expect("a forecast").then_gbit_per_s;
        assert_eq!((unknown.value, unknown.low), (1.0, 0.25));
    }
}
