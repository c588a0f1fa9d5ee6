//! `offwatch features`: what `ethtool -k` tells of interfaces, and what it does
//! not: what keeps a feature off, what a guest's driver accepts and sets anew, and
//! whose an interface is.

mod report;
mod select;
mod text;

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use self::report::Report;
use crate::{
    cli::FeaturesArgs,
    enforce::{
        gather::{Gatherer, Needs},
        kernel,
        target::{Target, Targets},
    },
    error::Error,
    inventory::sysfs::Sysfs,
    sample::{Kind, offloads::Fact},
};

/// Reads and prints; needs no privilege but those of whoever tells of VMs.
pub fn run(args: &FeaturesArgs) -> Result<(), Error> {
    let mut kernel = kernel::open().map_err(|source| Error::Io {
        what: "cannot read features of interfaces".into(),
        source,
    })?;
    let needs = |_: &Targets| Needs {
        drivers: true,
        owners: true,
    };
    let targets = Gatherer::new(args.connect.clone())
        .targets(&mut *kernel, needs)
        .map_err(|error| Error::Gather(Box::new(error)))?;
    let chosen = select::chosen(&targets, &args.names)?;
    let report = Report::new(&targets, &chosen, &napi(&chosen));
    print(&report, args).map_err(Error::stdout)
}

fn print(report: &Report, args: &FeaturesArgs) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        return writeln!(stdout);
    }
    stdout.write_all(text::of(report, args.all).as_bytes())
}

/// Whether GRO works on what guests send, by ifindex of their taps.
fn napi(targets: &[&Target]) -> HashMap<u32, Fact<bool>> {
    let sysfs = Sysfs::open();
    let taps = targets.iter().filter(|target| target.kind == Kind::Tap);
    let read = |target: &&Target| {
        let read = match &sysfs {
            Ok(sysfs) => sysfs.tap_has_napi(&target.id.dev),
            Err(error) => Err(io::Error::from(error.kind())),
        };
        read.map_or_else(
            |error| Fact::unavailable(Sysfs::reason(&error)),
            Fact::Known,
        )
    };
    taps.map(|tap| (tap.id.ifindex, read(tap))).collect()
}
