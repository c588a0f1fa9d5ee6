//! Records that the BPF programs write when they are asked to (`--bpf-log`).

use std::io::Write as _;

use aya::Ebpf;
use aya_log::EbpfLogger;

use super::{ProbeError, load::LOG};

/// Reads the records and prints them to stderr.
pub struct BpfLog {
    logger: EbpfLogger<ToStderr>,
}

impl BpfLog {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let logger = EbpfLogger::init_with_logger(ebpf, ToStderr)
            .map_err(|_| ProbeError::Incomplete(LOG))?;
        Ok(Self { logger })
    }

    /// Prints what was written since the last call.
    pub fn flush(&mut self) {
        self.logger.flush();
    }
}

struct ToStderr;

impl log::Log for ToStderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Nothing can be done if stderr is closed.
        let _ = writeln!(std::io::stderr(), "bpf: {}", record.args());
    }

    fn flush(&self) {}
}
