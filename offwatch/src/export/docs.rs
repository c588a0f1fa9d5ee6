//! docs/metrics.md, made from the families.

use std::fmt::Write as _;

use super::families::{self, Family, Kind};

const HEAD: &str = "\
# Metrics of `offwatch export`

Made from the code by `cargo xtask docs`.

- RX and TX of a VM (`offwatch_vm_*`) are from the guest's side, as in `virt-top`: received is
  what the guest received. Those of interfaces that belong to no VM (`offwatch_interface_*`) are
  from the host's side.
- What cannot be seen is absent, never 0; `offwatch_unavailable` tells what and why. A VM, a card
  or an interface that is gone has no series any more.
- Counters begin with 0 when offwatch is started, and begin anew with another interface of the
  same name; those of an interface do when it is renamed, or becomes another VM's. Else they do
  not fall: where software work is derived from what enters and leaves the
  host's transmit path, it is a lower bound that may shrink, and a frame to a tap is taken back
  if the guest's ring is found full; the highest figure seen stays.
  `offwatch_vm_software_work_approximate` is 1 while it is a lower bound.
- Two VMs never share a name: the first keeps it, others get their UUID behind it.
- With more than `--top` interfaces (1000 unless told otherwise), those with the most of `--sort`
  of late are told; the rest is in the sums over the host, `offwatch_host_*`, which also keep
  what was counted of interfaces that are gone. The share of the past in the ranks is halved every
  5 minutes, so that few series come and go. `--vm` and `--dev` leave series out, not sums.
- Buckets of `..._gso_size_bytes` are exact. There is no sum of segment sizes, and OpenMetrics
  allows a count only together with one: only the text format has `_count`.
- `--textfile` leaves out `process_*`, which node_exporter has of its own, and histograms, to
  which it would add a sum of 0.
- Samples have no timestamps. A scrape gets values that are at most a second old;
  `offwatch_sample_timestamp_seconds` tells when they were read. What libvirt told last (CPU
  time, memory, disks) may be older: `offwatch_vm_statistics_timestamp_seconds`. How old either
  is: `time() - offwatch_sample_timestamp_seconds`, also where a file of `--textfile` stayed.
";

/// Titles, and the beginnings of the names that are listed under each.
const GROUPS: [(&str, &[&str]); 7] = [
    (
        "Network cards of VMs",
        &[
            "offwatch_vm_interface",
            "offwatch_vm_receive",
            "offwatch_vm_transmit",
            "offwatch_vm_software",
            "offwatch_vm_segmentation",
            "offwatch_vm_checksum",
            "offwatch_vm_caused",
            "offwatch_vm_drops",
            "offwatch_vm_feature",
            "offwatch_vm_unobservable",
        ],
    ),
    ("VMs", &["offwatch_vm"]),
    (
        "The host",
        &[
            "offwatch_host",
            "offwatch_interfaces",
            "offwatch_unavailable",
        ],
    ),
    ("Interfaces of no VM", &["offwatch_interface"]),
    ("Advice", &["offwatch_advice"]),
    ("Enforcement", &["offwatch_enforcement"]),
    ("The exporter itself", &[""]),
];

/// The document, in Markdown.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let mut families: Vec<&Family> = families::all().collect();
    for (title, beginnings) in GROUPS {
        let is_of = |family: &Family| {
            let mut beginnings = beginnings.iter();
            beginnings.any(|beginning| family.name.starts_with(beginning))
        };
        let (group, rest): (Vec<_>, _) = families.into_iter().partition(|family| is_of(family));
        families = rest;
        let _ = write!(
            text,
            "\n## {title}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
        );
        for family in group {
            let (kind, suffix) = match family.kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Info => ("info", "_info"),
                Kind::Gauge => ("gauge", ""),
                Kind::Histogram => ("histogram", ""),
            };
            let labels: Vec<String> = family
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let _ = writeln!(
                text,
                "| `{}{suffix}` | {kind} | {} | {} |",
                family.name,
                labels.join(", "),
                family.help
            );
        }
    }
    text
}
