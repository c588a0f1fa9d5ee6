//! The command line of `trial`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{enforce::STATE_DIRECTORY, local_uri};

/// Below the help of `trial`.
pub(super) const HELP: &str = "\
The change is journalled before it is made, a watchdog takes it back if offwatch is killed, \
and in the end everything is as it was. Rounds are interleaved (ABBA). A difference is only \
told if its 95 % interval lies wholly beyond the threshold. Directions are the guest's. \
docs/trial.md tells more.\n\n\
Exit codes: 0 the trial ran to its end, whatever it shows; 1 failure, and nothing is changed; \
2 usage; 4 it was ended before, and taken back.";

/// Arguments of `trial`.
#[derive(Debug, Args)]
pub struct TrialArgs {
    /// The VM, all of whose interfaces are changed
    #[arg(
        long,
        value_name = "NAME",
        group = "subject",
        required_unless_present = "dev"
    )]
    pub vm: Option<String>,
    /// The interface that is changed
    #[arg(long, value_name = "DEV", group = "subject")]
    pub dev: Option<String>,
    /// Features to switch, such as tso=off,gso=off: kernel's names or ethtool's
    #[arg(long, value_name = "FEATURE=on|off[,...]", group = "what",
          required_unless_present_any = ["no_change", "recipe"], value_parser = features)]
    pub set: Option<Features>,
    /// Change nothing: tells how much the host differs from itself
    #[arg(long, group = "what")]
    pub no_change: bool,
    /// Several changes, one after the other
    #[arg(long, value_enum, value_name = "NAME", group = "what")]
    pub recipe: Option<RecipeName>,
    /// Rounds, each of a period without the change and one with it: 4 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub rounds: u32,
    /// Length of a period
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = period)]
    pub seconds: f64,
    /// Time between a change and the next period
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = settle)]
    pub settle: f64,
    /// End the trial if goodput falls by more than this
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = percent)]
    pub max_loss: f64,
    /// Only tell of differences that are surely larger than this
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent)]
    pub threshold: f64,
    /// Send TCP to a listener at this address meanwhile: only in a network namespace of
    /// its own, to an interface that is no VM's
    #[arg(long, value_name = "ADDRESS:PORT", requires = "dev")]
    pub load: Option<SocketAddr>,
    /// At most so many bits a second of it, such as 200M
    #[arg(long, value_name = "BITS", requires = "load", default_value = "1G",
          value_parser = bits)]
    pub load_rate: u64,
    /// Also if the interface carries the session of the user who asks for it
    #[arg(long)]
    pub own_session: bool,
    /// Print JSON, as docs/trial.schema.json has it
    #[arg(long)]
    pub json: bool,
    /// libvirt to ask for VMs; without it qemu:///system if it answers
    #[arg(short, long, value_name = "URI", value_parser = local_uri)]
    pub connect: Option<String>,
    /// Where the journal and the audit log are
    #[arg(long, value_name = "DIR", default_value = STATE_DIRECTORY)]
    pub state_dir: PathBuf,
}

/// Features to switch, as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The text.
    pub text: String,
    /// Each name, and whether it is to be on.
    pub each: Vec<(String, bool)>,
}

/// Experiments of several changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecipeName {
    /// What articles say: tso, gso, both, and sg off, one after the other
    TurnItOff,
}

/// Reads `tso=off,gso=off`.
pub fn features(text: &str) -> Result<Features, String> {
    let mut each: Vec<(String, bool)> = Vec::new();
    for part in text.split(',') {
        let (name, state) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} is not FEATURE=on or FEATURE=off"))?;
        let on = match state {
            "on" => true,
            "off" => false,
            other => return Err(format!("{name} is to be on or off, not {other:?}")),
        };
        if name.is_empty() {
            return Err(format!("{part:?} names no feature"));
        }
        if each.iter().any(|(other, _)| other == name) {
            return Err(format!("{name} is named twice"));
        }
        each.push((name.to_owned(), on));
    }
    Ok(Features {
        text: text.to_owned(),
        each,
    })
}

fn number(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (low..=high).contains(&value) {
        true => Ok(value),
        false => Err(format!("must be from {low} to {high}")),
    }
}

fn period(text: &str) -> Result<f64, String> {
    number(text.strip_suffix('s').unwrap_or(text), 0.2, 3600.0)
}

fn settle(text: &str) -> Result<f64, String> {
    number(text.strip_suffix('s').unwrap_or(text), 0.0, 3600.0)
}

fn percent(text: &str) -> Result<f64, String> {
    number(text.strip_suffix('%').unwrap_or(text), 0.1, 99.9)
}

fn bits(text: &str) -> Result<u64, String> {
    const MOST: u64 = 100_000_000_000;
    let factor = match text.chars().last() {
        Some('k' | 'K') => 1_000,
        Some('M') => 1_000_000,
        Some('G') => 1_000_000_000,
        _ => 1,
    };
    let digits = match factor {
        1 => text,
        _ => &text[..text.len() - 1],
    };
    let value: u64 = digits
        .parse()
        .map_err(|_| "not a number of bits such as 200M".to_owned())?;
    match value.saturating_mul(factor) {
        bits @ 1_000..=MOST => Ok(bits),
        _ => Err("must be from 1k to 100G".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_names_with_states() {
        let both = features("tso=off,tx-nocache-copy=on").expect("both");
        let each = [("tso", false), ("tx-nocache-copy", true)];
        assert_eq!(both.each, each.map(|(name, on)| (name.to_owned(), on)));
        for bad in ["", "tso", "tso=of", "tso=off,", "=off", "tso=off,tso=on"] {
            assert!(features(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(percent("20%"), Ok(20.0));
        assert_eq!(percent("7.5"), Ok(7.5));
        assert_eq!(bits("200M"), Ok(200_000_000));
        for bad in ["0", "100%", "-5", "nan", "x"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "M", "1T", "1kM", "101G", "99999999999999999999G"] {
            assert!(bits(bad).is_err(), "{bad}");
        }
        assert!(period("0.1").is_err() && settle("0").is_ok());
        assert_eq!((period("5s"), settle("1s")), (Ok(5.0), Ok(1.0)));
    }
}
