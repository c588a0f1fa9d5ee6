//! What is done for each part, and what is made of it.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::{
    Config, advise, body, built_object, control, end_to_end, enforce, enforce_watch, exact,
    goals::Outcome,
    memory, multiqueue,
    part::Part,
    path::{Load, Path},
    peers,
    report::{
        self, Measured, Table,
        paths::{self, PathReport},
    },
    rounds, scale, syscalls,
    variant::Empty,
};

/// What `enforce` changes.
const TAPS: usize = 1_000;
/// One turn of iperf3.
const TURN_S: u32 = 1;

type Shown = (Vec<Table>, Vec<Outcome>, serde_json::Value);

pub(super) fn part(part: Part, config: &Config) -> Result<Measured> {
    let begin = Instant::now();
    let (tables, goals, figures) = match part {
        Part::EndToEnd => end_to_end(config),
        Part::Paths => paths(config),
        Part::Bodies => bodies(config),
        Part::Exact => exact(config),
        Part::Multiqueue => multiqueue(config),
        Part::Control => control(config),
        Part::Scale => scale(config),
        Part::Peers => peers(config),
        Part::Advise => advise(config),
        Part::Enforce => enforce(config),
        Part::Watch => watch(config),
    }?;
    Ok(Measured {
        quick: config.quick,
        alone: config.parts.len() < Part::ALL.len(),
        took_s: begin.elapsed().as_secs(),
        tables,
        goals,
        figures,
    })
}

fn shown(tables: Vec<Table>, goals: Vec<Outcome>, figures: &impl Serialize) -> Result<Shown> {
    Ok((tables, goals, serde_json::to_value(figures)?))
}

fn empty(config: &Config) -> Result<Empty> {
    match &config.empty_object {
        Some(path) => Empty::load(path),
        None => Empty::load(&built_object()?),
    }
}

fn end_to_end(config: &Config) -> Result<Shown> {
    let streams = end_to_end::measure(&mut empty(config)?, config.slow_rounds(), TURN_S)?;
    let table = end_to_end::table(&streams);
    shown(vec![table], end_to_end::goals(&streams), &streams)
}

fn paths(config: &Config) -> Result<Shown> {
    let mut empty = empty(config)?;
    let mut reports = Vec::new();
    for load in Load::ALL {
        let path = Path::new(load)?;
        let cost = rounds::measure(&path, &mut empty, config.rounds())?;
        reports.push(PathReport::new(load, &cost));
    }
    let tables = reports.iter().map(PathReport::table).collect();
    shown(tables, paths::goals(&reports), &reports)
}

fn bodies(config: &Config) -> Result<Shown> {
    let bodies = body::measure(&mut empty(config)?)?;
    shown(vec![report::bodies::table(&bodies)], Vec::new(), &bodies)
}

fn exact(config: &Config) -> Result<Shown> {
    let costs = exact::measure(config.rounds())?;
    shown(vec![report::exact::table(&costs)], Vec::new(), &costs)
}

fn multiqueue(config: &Config) -> Result<Shown> {
    let cost = multiqueue::measure(config.rounds(), &mut empty(config)?)?;
    shown(vec![multiqueue::table(&cost)], Vec::new(), &cost)
}

fn control(config: &Config) -> Result<Shown> {
    let rows = control::measure(config.interfaces())?;
    let beside = report::control::Beside {
        read_syscalls: syscalls::of_reading(control::READ_INTERFACES)?,
        kernel_bytes: memory::of_maps()?,
    };
    shown(
        report::control::tables(&rows, &beside),
        report::control::goals(&rows, &beside),
        &(&rows, &beside),
    )
}

fn scale(config: &Config) -> Result<Shown> {
    let scales = scale::measure(config.interfaces(), config.ticks())?;
    let tables = vec![report::scale::table(&scales)];
    shown(tables, report::scale::goals(&scales), &scales)
}

fn peers(config: &Config) -> Result<Shown> {
    let mut empty = empty(config)?;
    let peers = peers::measure(&mut empty, config.slow_rounds(), config.ticks())?;
    shown(peers::tables(&peers), peers::goals(&peers), &peers)
}

fn advise(config: &Config) -> Result<Shown> {
    let sizes = advise::measure(&config.interfaces()[1..])?;
    shown(vec![advise::table(&sizes)], advise::goals(&sizes), &sizes)
}

fn enforce(config: &Config) -> Result<Shown> {
    let enforcing = enforce::measure(TAPS, config.quick)?;
    let goals = enforce::goals(&enforcing);
    shown(vec![enforce::table(&enforcing)], goals, &enforcing)
}

fn watch(config: &Config) -> Result<Shown> {
    let cost = enforce_watch::measure(config.quick)?;
    let table = enforce_watch::table(&cost);
    shown(vec![table], enforce_watch::goals(&cost), &cost)
}
