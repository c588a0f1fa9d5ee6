//! Signs of offload faults in the kernel's log (`/dev/kmsg`).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use crate::sample::evidence::{KernelLog, Sign, SignCount};

const PATH: &str = "/dev/kmsg";
/// Its device number (`Documentation/admin-guide/devices.txt`).
const DEVICE: (u32, u32) = (1, 11);
/// The kernel refuses to cut a record; the longest are about 2 KiB, and can
/// become four times as long where bytes are escaped.
const RECORD_BYTES: usize = 16 << 10;

/// Reads the kernel's log from its oldest record on.
pub struct KernelLogReader {
    file: File,
    buffer: Vec<u8>,
    log: KernelLog,
    /// No record was read yet.
    untouched: bool,
}

impl KernelLogReader {
    /// Opens it. Needs `CAP_SYSLOG` where `kernel.dmesg_restrict` is 1.
    pub fn open() -> io::Result<Self> {
        Self::open_at(PATH)
    }

    /// A container may have something else there, as /dev/null or a pipe, which
    /// has no records: that is not a log without signs.
    fn open_at(path: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let device = file.metadata()?.rdev();
        if (libc::major(device), libc::minor(device)) != DEVICE {
            return Err(io::Error::other("not the kernel's log"));
        }
        Ok(Self {
            file,
            buffer: vec![0; RECORD_BYTES],
            log: KernelLog {
                complete: true,
                signs: Vec::new(),
            },
            untouched: true,
        })
    }

    /// Why it cannot be opened or read.
    pub fn reason(error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "CAP_SYSLOG missing, and kernel.dmesg_restrict is 1".into()
            }
            _ => format!("{PATH}: {error}"),
        }
    }

    /// Reads at most so many new records; `true` if there are none left.
    pub fn read(&mut self, records: usize) -> io::Result<bool> {
        self.read_each(records, |_| {})
    }

    /// The same; each is shown.
    pub fn read_each(
        &mut self,
        records: usize,
        mut show: impl FnMut(&Record<'_>),
    ) -> io::Result<bool> {
        for _ in 0..records {
            match self.file.read(&mut self.buffer) {
                Ok(length) => self.count(length, &mut show),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Records were overwritten before they were read.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    self.log.complete = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// What was found so far.
    pub fn log(&self) -> &KernelLog {
        &self.log
    }

    fn count(&mut self, length: usize, show: impl FnOnce(&Record<'_>)) {
        let text = String::from_utf8_lossy(&self.buffer[..length]);
        let Some(record) = Record::parse(&text) else {
            return;
        };
        show(&record);
        if std::mem::take(&mut self.untouched) && record.number != 0 {
            self.log.complete = false;
        }
        let Some(sign) = record.sign() else {
            return;
        };
        let signs = &mut self.log.signs;
        let known = signs.iter().position(|known| known.sign == sign);
        let index = known.unwrap_or_else(|| {
            signs.push(SignCount {
                sign,
                count: 0,
                last_us: 0,
            });
            signs.len() - 1
        });
        signs[index].count += 1;
        signs[index].last_us = record.time_us;
    }
}

/// One record of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'text> {
    /// 0 for the first one after boot.
    number: u64,
    time_us: u64,
    /// The kernel wrote it itself.
    pub by_kernel: bool,
    /// How grave it is, as `syslog` has it: 4 is a warning, less is worse.
    pub level: u32,
    /// Its first line.
    pub text: &'text str,
}

impl<'text> Record<'text> {
    /// `priority,number,microseconds,flags[,...];text`, and more lines.
    pub(crate) fn parse(record: &'text str) -> Option<Self> {
        let (prefix, text) = record.split_once(';')?;
        let mut fields = prefix.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        Some(Self {
            number: fields.next()?.parse().ok()?,
            time_us: fields.next()?.parse().ok()?,
            // The kernel lets no one else use its facility.
            by_kernel: priority >> 3 == 0,
            level: priority & 7,
            text: text.lines().next().unwrap_or_default(),
        })
    }

    /// What it is a sign of, if anything. Of the many lines of a warning, only
    /// the one that names the place counts.
    pub(crate) fn sign(&self) -> Option<Sign> {
        if !self.by_kernel {
            return None;
        }
        let has = |words: &str| self.text.contains(words);
        if self.text.starts_with("WARNING: ") && has(" skb_warn_bad_offload+") {
            Some(Sign::BadOffload)
        } else if has(": received packets cannot be forwarded while LRO is enabled") {
            Some(Sign::LroForwarding)
        } else if has("NETDEV WATCHDOG: ") && has("timed out") {
            Some(Sign::TxTimeout)
        } else if self.text.ends_with(": hw csum failure") {
            Some(Sign::RxChecksum)
        } else if has(": Driver has suspect GRO implementation") {
            Some(Sign::SuspectGro)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(record: &str) -> Option<Sign> {
        Record::parse(record).expect("a record").sign()
    }

    #[test]
    fn a_record_is_taken_apart() {
        let record = Record::parse("6,339,5140900,-,caller=T1;NET: family 10\n SUBSYSTEM=acpi\n");
        assert_eq!(
            record,
            Some(Record {
                number: 339,
                time_us: 5_140_900,
                by_kernel: true,
                level: 6,
                text: "NET: family 10",
            })
        );
        assert_eq!(Record::parse("no record"), None);
        assert_eq!(Record::parse("6,x,1,-;text"), None);
    }

    #[test]
    fn what_is_not_the_log_is_not_an_empty_one() {
        let error = KernelLogReader::open_at("/dev/null").map(drop).unwrap_err();
        assert_eq!(
            KernelLogReader::reason(&error),
            "/dev/kmsg: not the kernel's log"
        );
        assert!(KernelLogReader::open_at("/proc/version").is_err());
    }

    #[test]
    fn each_sign_is_known_in_the_words_of_old_and_new_kernels() {
        let of_5_10 = "4,900,1,-;WARNING: CPU: 0 PID: 12 at net/core/dev.c:3238 \
                       skb_warn_bad_offload+0x84/0xf0\n";
        let of_6_18 = "4,900,1,-;WARNING: net/core/dev.c:3527 at skb_warn_bad_offload+0x9/0x20, \
                       CPU#1: vhost-12/13\n";
        assert_eq!(sign(of_5_10), Some(Sign::BadOffload));
        assert_eq!(sign(of_6_18), Some(Sign::BadOffload));
        assert_eq!(
            sign("4,1,1,-;eth0: received packets cannot be forwarded while LRO is enabled\n"),
            Some(Sign::LroForwarding)
        );
        assert_eq!(
            sign("6,1,1,-;NETDEV WATCHDOG: eth0 (e1000): transmit queue 0 timed out\n"),
            Some(Sign::TxTimeout)
        );
        assert_eq!(
            sign(
                "2,1,1,-;e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 0 \
                 timed out 5120 ms\n"
            ),
            Some(Sign::TxTimeout)
        );
        assert_eq!(
            sign("3,1,1,-;eth0: hw csum failure\n"),
            Some(Sign::RxChecksum)
        );
        assert_eq!(
            sign(
                "4,1,1,-;TCP: eth0: Driver has suspect GRO implementation, TCP performance may \
                 be compromised.\n"
            ),
            Some(Sign::SuspectGro)
        );
    }

    #[test]
    fn other_lines_of_a_warning_and_other_writers_do_not_count() {
        assert_eq!(
            sign("4,9,1,-;RIP: 0010:skb_warn_bad_offload+0x84/0xf0\n"),
            None
        );
        assert_eq!(sign("4,9,1,-; skb_warn_bad_offload+0x84/0xf0\n"), None);
        assert_eq!(
            sign("4,9,1,-;WARNING: CPU: 0 PID: 12 at mm/slub.c:1 kfree+0x1/0x2\n"),
            None
        );
        // Written by a process.
        assert_eq!(sign("12,9,1,-;eth0: hw csum failure\n"), None);
    }
}
