//! What became of the streams.

use serde::Serialize;

use super::{
    super::{
        goals::{self, Outcome},
        report::Table,
        stats::{Estimate, median},
    },
    Observed, Stream,
};

/// Rates of one round, in [`Observed::ALL`]'s order.
pub(super) type Round = [f64; Observed::ALL.len()];

/// One stream.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct EndToEnd {
    stream: Stream,
    unit: &'static str,
    rounds: Vec<Round>,
    nothing: f64,
    /// Lost with empty programs, percent of what arrives without any.
    empty_lost: Estimate,
    /// Lost with offwatch, likewise.
    lost: Estimate,
}

impl EndToEnd {
    pub(super) fn new(stream: Stream, rounds: &[Round]) -> Self {
        let [nothing, empty, offwatch] = [0, 1, 2];
        let lost = |index: usize| {
            Estimate::of(rounds, |rounds| {
                let kept = rounds.iter().map(|round| round[index] / round[nothing]);
                (1.0 - median(&mut kept.collect::<Vec<_>>())) * 100.0
            })
        };
        let rates = rounds.iter().map(|round| round[nothing]);
        Self {
            stream,
            unit: stream.unit(),
            rounds: rounds.to_vec(),
            nothing: median(&mut rates.collect::<Vec<_>>()),
            empty_lost: lost(empty),
            lost: lost(offwatch),
        }
    }
}

pub(in crate::bench) fn table(streams: &[EndToEnd]) -> Table {
    let heads = [
        "",
        "with nothing",
        "lost with empty programs",
        "lost with offwatch",
    ];
    let mut table = Table::new("", &heads);
    for end in streams {
        table.row([
            format!("{}, {} pairs", end.stream.title(), end.rounds.len()),
            format!("{:.3} {}", end.nothing, end.unit),
            format!("{:.1} %", end.empty_lost),
            format!("{:.1} %", end.lost),
        ]);
    }
    table
}

pub(in crate::bench) fn goals(streams: &[EndToEnd]) -> Vec<Outcome> {
    let goals = streams.iter().filter_map(|end| match end.stream {
        Stream::TcpGso => Some(goals::TCP_GSO.outcome(Ok(end.lost.low))),
        Stream::TcpMtu => None,
        Stream::Udp64 => Some(goals::UDP_64.outcome(Ok(end.lost.median))),
    });
    goals.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_that_of_each_pair() {
        // The machine halves its speed between the rounds; the loss stays.
        let rounds = [[10.0, 9.9, 9.0], [5.0, 4.95, 4.5], [10.0, 9.9, 9.0]];
        let end = EndToEnd::new(Stream::Udp64, &rounds);
        assert_eq!(end.nothing, 10.0);
        for (lost, percent) in [(end.empty_lost, 1.0), (end.lost, 10.0)] {
            for value in [lost.median, lost.low, lost.high] {
                assert!((value - percent).abs() < 1e-9, "{lost}");
            }
        }
    }

    #[test]
    fn noise_is_no_loss() {
        let rounds = [[10.0, 10.0, 9.0], [10.0, 10.0, 11.0], [10.0, 10.0, 9.5]];
        let end = EndToEnd::new(Stream::TcpGso, &rounds);
        let [outcome] = &goals(&[end])[..] else {
            panic!("one goal");
        };
        assert!(outcome.met, "{outcome:?}");
    }
}
