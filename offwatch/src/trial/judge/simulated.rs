//! How often effects are claimed of changes that have none, and of those that have one.

use crate::{
    sample::offloads::Fact,
    trial::{
        effect::{Effect, Measure, Verdict},
        judge,
        period::{Cpu, Period, Side, Way},
        schedule,
        settings::Settings,
    },
};

const TRIALS: u32 = 2_000;
/// Of so many trials without an effect, one may claim any of them.
const ONE_OF: u32 = 40;

/// How the figures of a host differ from period to period.
#[derive(Clone, Copy, Debug)]
enum Noise {
    /// Normally, by this part.
    Normal(f64),
    /// By 5 %, while they grow or fall to another level in the course of the trial.
    Drifting,
    /// By 20 %, each near the one before.
    Autocorrelated,
    /// By 10 %, but now and then by very much (Student, 2 degrees of freedom).
    HeavyTails,
}

/// One figure in the course of time.
struct Course {
    noise: Noise,
    rng: fastrand::Rng,
    drift: f64,
    before: f64,
}

impl Course {
    fn new(noise: Noise, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let drift = if rng.bool() { 0.05 } else { -0.05 };
        let before = normal(&mut rng) * 0.2;
        Self {
            noise,
            rng,
            drift,
            before,
        }
    }

    /// By what the figure of the next period is to be multiplied.
    fn next(&mut self) -> f64 {
        let normal = normal(&mut self.rng);
        let logarithm = match self.noise {
            Noise::Normal(part) => part * normal,
            Noise::Drifting => {
                self.before += self.drift;
                self.before + 0.05 * normal
            }
            Noise::Autocorrelated => {
                self.before = 0.7 * self.before + 0.2 * (1.0_f64 - 0.49).sqrt() * normal;
                self.before
            }
            Noise::HeavyTails => 0.1 * normal / (-self.rng.f64().max(1e-12).ln()).sqrt(),
        };
        logarithm.exp()
    }
}

fn normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * rng.f64().max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// What was measured in one trial. Every figure has noise of its own, which leaves most
/// room for claims. `cost` is by what the change multiplies all CPU time.
fn effects(traffic: Noise, time: Noise, rounds: u32, cost: f64, seed: u64) -> Vec<Effect> {
    /// Of traffic; then come those of time.
    const TRAFFIC: usize = 8;
    const FIGURES: usize = 16;
    let course = |figure| {
        let noise = if figure < TRAFFIC { traffic } else { time };
        Course::new(noise, seed * FIGURES as u64 + figure as u64)
    };
    let mut courses: Vec<Course> = (0..FIGURES).map(course).collect();
    let settings = Settings {
        rounds,
        ..Settings::default()
    };
    let period = |(round, side)| {
        let factor = if side == Side::With { cost } else { 1.0 };
        let mut figures = courses.iter_mut().map(Course::next);
        let mut count = |mean: f64| (mean * figures.next().unwrap_or_default()) as u64;
        let mut way = |bytes: f64| Way {
            packets: count(bytes / 20_000.0),
            bytes: bytes as u64,
            goodput_bytes: Fact::Known(count(bytes)),
            drops: Fact::Known(count(bytes / 2e6)),
            tcp_segments: Fact::Known((bytes / 1448.0) as u64),
            retransmitted_segments: Fact::Known(count(bytes / 5e5)),
        };
        let (received, sent) = (way(500e6), way(50e6));
        let mut time = |mean: f64| Fact::Known(count(mean * factor));
        Period {
            round,
            side,
            seconds: 5.0,
            received,
            sent,
            cpu: Cpu {
                host_ns: time(4e9),
                softirq_ns: time(1e9),
                vm_ns: time(3e9),
                vcpu_ns: time(2e9),
                vhost_ns: time(1e9),
            },
            software_segments: Fact::Known(count(40_000.0)),
            checksum_bytes: Fact::Known(count(5e7)),
            checksum_drops: Fact::Known(0),
        }
    };
    let periods: Vec<Period> = schedule::order(rounds).map(period).collect();
    judge::effects(&periods, &settings)
}

fn claims(noise: Noise, rounds: u32) -> u32 {
    let claims = (0..TRIALS).filter(|trial| {
        let effects = effects(noise, noise, rounds, 1.0, u64::from(*trial));
        effects.iter().any(|effect| effect.verdict.is_difference())
    });
    claims.count() as u32
}

#[test]
fn no_change_has_hardly_ever_an_effect() {
    for noise in [
        Noise::Normal(0.05),
        Noise::Normal(0.2),
        Noise::Drifting,
        Noise::Autocorrelated,
        Noise::HeavyTails,
    ] {
        for rounds in [4, 10, 11] {
            let claims = claims(noise, rounds);
            println!("{noise:?}, {rounds} rounds: {claims} of {TRIALS}");
            assert!(
                claims <= TRIALS / ONE_OF,
                "{noise:?}, {rounds}: {claims} of {TRIALS}"
            );
        }
    }
}

#[test]
fn a_doubled_cost_is_always_seen() {
    for trial in 0..TRIALS {
        let (even, noise) = (Noise::Normal(0.0), Noise::Normal(0.1));
        let effects = effects(even, noise, 10, 2.0, u64::from(trial));
        let verdict = |measure| {
            let effect = effects.iter().find(|effect| effect.measure == measure);
            effect.map(|effect| effect.verdict.clone())
        };
        for cost in [
            Measure::HostCost,
            Measure::SoftirqCost,
            Measure::VmCost,
            Measure::VcpuCost,
            Measure::VhostCost,
        ] {
            assert_eq!(verdict(cost), Some(Verdict::Worse), "{cost:?}, {trial}");
        }
    }
}
