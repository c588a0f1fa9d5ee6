//! Attaching a pair of programs to a kernel function.

use aya::{
    Btf as LoaderBtf, Ebpf,
    programs::{FEntry, FExit, KProbe, ProgramError},
};
use offwatch_common::function;

use super::plan::Candidate;
use crate::{
    probe::{ProbeError, attach::program, error::reason},
    sample::{Exactness, Method},
};

/// Programs for the entry and the return of each function.
const FEXIT: [(&str, &str); function::COUNT] = [
    ("ow_fentry_gso", "ow_fexit_gso"),
    ("ow_fentry_csum", "ow_fexit_csum"),
    ("ow_fentry_crc", "ow_fexit_crc"),
];
const KPROBE: [(&str, &str); function::COUNT] = [
    ("ow_kprobe_gso", "ow_kretprobe_gso"),
    ("ow_kprobe_csum", "ow_kretprobe_csum"),
    ("ow_kprobe_crc", "ow_kretprobe_crc"),
];

/// Tries one method after the other at function `index`.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    btf: &LoaderBtf,
    index: usize,
    candidate: &Candidate,
    methods: &[Method],
) -> Exactness {
    let name = function::NAMES[index];
    let mut refused = Vec::new();
    for method in methods {
        let may = match method {
            Method::Fexit => &candidate.fexit,
            Method::Kprobe => &candidate.kprobe,
        };
        let attached = may.clone().and_then(|()| match method {
            Method::Fexit => fexit(ebpf, btf, name, FEXIT[index]),
            Method::Kprobe => kprobe(ebpf, name, KPROBE[index]),
        });
        match attached {
            Ok(()) => return Exactness::Exact(*method),
            Err(reason) if refused.iter().any(|(_, known)| *known == reason) => {}
            Err(reason) => refused.push((method.name(), reason)),
        }
    }
    Exactness::Unavailable(match &refused[..] {
        // What is wrong with the function itself is wrong for both.
        [(_, reason)] if methods.len() > 1 => reason.clone(),
        all => all
            .iter()
            .map(|(method, reason)| format!("{method}: {reason}"))
            .collect::<Vec<_>>()
            .join("; "),
    })
}

/// The return first: a return without a call is told at once, a call without a
/// return only when its place is needed.
fn fexit(
    ebpf: &mut Ebpf,
    btf: &LoaderBtf,
    name: &str,
    (entry, exit): (&'static str, &'static str),
) -> Result<(), String> {
    // Both are loaded before either is attached: a refusal leaves nothing half done.
    let program_of_entry: &mut FEntry = program(ebpf, entry).map_err(text)?;
    program_of_entry.load(name, btf).map_err(refusal)?;
    let program_of_exit: &mut FExit = program(ebpf, exit).map_err(text)?;
    program_of_exit.load(name, btf).map_err(refusal)?;
    let link = program_of_exit.attach().map_err(refusal)?;
    let program_of_entry: &mut FEntry = program(ebpf, entry).map_err(text)?;
    if let Err(error) = program_of_entry.attach() {
        let program_of_exit: &mut FExit = program(ebpf, exit).map_err(text)?;
        program_of_exit.detach(link).map_err(refusal)?;
        return Err(refusal(error));
    }
    Ok(())
}

fn kprobe(
    ebpf: &mut Ebpf,
    name: &str,
    (entry, exit): (&'static str, &'static str),
) -> Result<(), String> {
    for part in [entry, exit] {
        let program: &mut KProbe = program(ebpf, part).map_err(text)?;
        program.load().map_err(refusal)?;
    }
    let program_of_exit: &mut KProbe = program(ebpf, exit).map_err(text)?;
    let link = program_of_exit.attach(name, 0).map_err(refusal)?;
    let program_of_entry: &mut KProbe = program(ebpf, entry).map_err(text)?;
    if let Err(error) = program_of_entry.attach(name, 0) {
        let program_of_exit: &mut KProbe = program(ebpf, exit).map_err(text)?;
        program_of_exit.detach(link).map_err(refusal)?;
        return Err(refusal(error));
    }
    Ok(())
}

fn refusal(error: ProgramError) -> String {
    reason(&error)
}

fn text(error: ProbeError) -> String {
    error.to_string()
}
