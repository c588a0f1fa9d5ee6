//! virt-top's CSV, byte by byte: one row a tick, with a group of columns for
//! each active VM. The header names one group.
//!
//! `Mem (bytes)` holds KiB, as in virt-top. In a VM's first row CPU and memory
//! are 0 and the rest is empty; what is not known is empty, too.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::header::local_time;
use crate::model::{
    overview::{Domain, Overview},
    usage::Usage,
};

const SUMMARY: [&str; 18] = [
    "Hostname",
    "Time",
    "Arch",
    "Physical CPUs",
    "Count",
    "Running",
    "Blocked",
    "Paused",
    "Shutdown",
    "Shutoff",
    "Crashed",
    "Active",
    "Inactive",
    "%CPU",
    "Total hardware memory (KB)",
    "Total memory (KB)",
    "Total guest memory (KB)",
    "Total CPU time (ns)",
];

/// Pairs of columns of each VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvColumns {
    /// CPU time and share.
    pub cpu: bool,
    /// Memory and share.
    pub memory: bool,
    /// Disks.
    pub block: bool,
    /// Network cards.
    pub net: bool,
}

impl Default for CsvColumns {
    fn default() -> Self {
        Self {
            cpu: true,
            memory: true,
            block: true,
            net: true,
        }
    }
}

/// How rows are made.
#[derive(Clone, Debug)]
pub struct CsvFormat {
    /// Pairs of columns.
    pub columns: CsvColumns,
    /// Bytes of disks instead of requests.
    pub block_in_bytes: bool,
    /// Of the column of times.
    pub zone: TimeZone,
}

impl CsvFormat {
    /// The first line.
    pub fn header(&self) -> String {
        let mut names = SUMMARY.to_vec();
        names.extend(["Domain ID", "Domain name"]);
        if self.columns.cpu {
            names.extend(["CPU (ns)", "%CPU"]);
        }
        if self.columns.memory {
            names.extend(["Mem (bytes)", "%Mem"]);
        }
        match (self.columns.block, self.block_in_bytes) {
            (true, true) => names.extend(["Block RDBY", "Block WRBY"]),
            (true, false) => names.extend(["Block RDRQ", "Block WRRQ"]),
            (false, _) => {}
        }
        if self.columns.net {
            names.extend(["Net RXBY", "Net TXBY"]);
        }
        let mut line = Line::default();
        names.into_iter().for_each(|name| line.field(name));
        line.end()
    }

    /// The line of one tick.
    pub fn row(&self, overview: &Overview<'_>) -> String {
        let (node, totals) = (&overview.node, overview.totals());
        let mut line = Line::default();
        line.field(&node.host_name);
        line.field(&local_time(overview.time_unix_ms, &self.zone));
        line.field(&node.arch);
        line.number(Some(node.cpus));
        for count in [
            totals.count,
            totals.running,
            totals.blocked,
            totals.paused,
            totals.shutdown,
            totals.shutoff,
            totals.crashed,
            totals.active,
            totals.inactive,
        ] {
            line.number(Some(count));
        }
        // What nothing is told of is not 0.
        let is_told = totals.active == 0 || totals.untold < totals.active;
        let told = |number: u64| is_told.then_some(number);
        let percent = is_told.then(|| format!("{:.1}", totals.cpu_percent));
        line.field(percent.as_deref().unwrap_or_default());
        line.number(Some(node.memory_kib));
        line.number(told(totals.memory_kib));
        line.number(told(totals.memory_kib));
        line.number(told(totals.cpu_time_ns));
        let active = overview.domains.iter().filter(|domain| domain.is_active);
        let mut domains: Vec<&Domain<'_>> = active.collect();
        domains.sort_by_key(|domain| (domain.id.is_none(), domain.id, domain.name));
        for domain in domains {
            self.group(&mut line, domain);
        }
        line.end()
    }

    fn group(&self, line: &mut Line, domain: &Domain<'_>) {
        let usage = domain.usage;
        let is_first = usage.is_some_and(|usage| usage.interval_ns().is_none());
        line.number(domain.id);
        line.field(domain.name);
        if self.columns.cpu {
            let first = usage.and_then(|usage| usage.now.cpu_time_ns);
            let first = first.filter(|_| is_first).map(|_| 0.0);
            let time = usage.and_then(Usage::cpu_time_ns).map(|ns| ns as f64);
            line.float(time.or(first));
            line.float(usage.and_then(Usage::cpu_percent).or(first));
        }
        if self.columns.memory {
            let kib = usage.and_then(|usage| usage.now.memory_kib);
            let percent = usage.and_then(Usage::memory_percent);
            let unless_first = |number: u64| if is_first { 0 } else { number };
            line.number(kib.map(unless_first));
            line.number(percent.map(unless_first));
        }
        if self.columns.block {
            let disk = usage.and_then(Usage::disk).unwrap_or_default();
            let (reads, writes) = match self.block_in_bytes {
                true => (disk.read_bytes, disk.write_bytes),
                false => (disk.read_requests, disk.write_requests),
            };
            line.number(reads);
            line.number(writes);
        }
        if self.columns.net {
            let nic = usage.and_then(Usage::nic).unwrap_or_default();
            line.number(nic.rx_bytes);
            line.number(nic.tx_bytes);
        }
    }
}

/// A line of fields.
#[derive(Default)]
struct Line {
    text: String,
    has_fields: bool,
}

impl Line {
    fn separate(&mut self) {
        if std::mem::replace(&mut self.has_fields, true) {
            self.text.push(',');
        }
    }

    /// A text, in quotes where virt-top has them.
    fn field(&mut self, field: &str) {
        self.separate();
        let is_blank = |c: char| c == ' ' || c == '\t';
        let needs_quotes = field.contains([',', '"', '\r', '\n'])
            || field.starts_with(is_blank)
            || field.ends_with(is_blank);
        if needs_quotes {
            self.text.push('"');
            self.text.push_str(&field.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(field);
        }
    }

    fn number(&mut self, number: Option<impl std::fmt::Display>) {
        self.separate();
        if let Some(number) = number {
            // Writing to a String does not fail.
            let _ = write!(self.text, "{number}");
        }
    }

    fn float(&mut self, number: Option<f64>) {
        self.separate();
        if let Some(number) = number {
            self.text.push_str(&ocaml_float(number));
        }
    }

    fn end(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// A number as OCaml prints it: 12 significant digits without trailing zeros
/// (C's `%.12g`), and a dot at the end of a whole number.
fn ocaml_float(number: f64) -> String {
    const DIGITS: i32 = 12;
    let scientific = format!("{number:.*e}", DIGITS as usize - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !(-4..DIGITS).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let mantissa = without_zeros(mantissa);
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or_default();
    let mut text = without_zeros(&format!("{number:.decimals$}"));
    if !text.contains('.') {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_ocaml_prints_them() {
        for (number, text) in [
            (0.0, "0."),
            (2_960_000_000.0, "2960000000."),
            (48.879_053_677_5, "48.8790536775"),
            (0.660_208_041_755, "0.660208041755"),
            (100.0, "100."),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.333333333333"),
            (2.0 / 3.0, "0.666666666667"),
            (123_456_789_012.0, "123456789012."),
            (1e12, "1e+12"),
            (1.234_567_890_123_45e15, "1.23456789012e+15"),
            (999_999_999_999.9, "1e+12"),
            (0.0001, "0.0001"),
            (0.000_012_345, "1.2345e-05"),
            (-5.5, "-5.5"),
        ] {
            assert_eq!(ocaml_float(number), text, "{number}");
        }
    }

    #[test]
    fn fields_are_quoted_as_in_virt_top() {
        let mut line = Line::default();
        for field in [
            "plain", "vm,db02", "a\"b", " a", "a\t", "a b", "a\nb", "", "#x",
        ] {
            line.field(field);
        }
        line.number(None::<u64>);
        assert_eq!(
            line.end(),
            "plain,\"vm,db02\",\"a\"\"b\",\" a\",\"a\t\",a b,\"a\nb\",,#x,\n"
        );
    }
}
