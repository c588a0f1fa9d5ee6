//! What the key `W` writes: the settings of now, in virt-top's words.

use std::io;
use std::path::PathBuf;

use jiff::{Timestamp, tz::TimeZone};
use nix::unistd::{Uid, User};

use super::{Settings, init_file};
use crate::clock::wall_clock_ms;

/// Settings that are not written, to be taken up by hand.
const HINTS: [&str; 7] = [
    "",
    "# Errors and what libvirt says:",
    "#debug virt-top.out",
    "# A CSV file of every run:",
    "#csv virt-top.csv",
    "# The key W leaves this file alone:",
    "#overwrite-init-file false",
];

impl Settings {
    /// Writes the init file and returns its path; none if it must not be
    /// overwritten.
    pub fn write_init_file(&self, zone: &TimeZone) -> io::Result<Option<PathBuf>> {
        let Some(path) = &self.init_file else {
            return Ok(None);
        };
        let user = User::from_uid(Uid::effective()).ok().flatten();
        let user = user.map_or_else(|| "unknown".to_owned(), |user| user.name);
        init_file::write(path, &self.content(wall_clock_ms(), zone, &user))?;
        Ok(Some(path.clone()))
    }

    fn content(&self, unix_ms: u64, zone: &TimeZone, user: &str) -> String {
        let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
        let time = zone.to_datetime(time);
        let mut lines = vec![
            "# .virt-toprc: settings of offwatch top and virt-top".to_owned(),
            format!(
                "# written on {} {:02}:{:02}:{:02} by {user}",
                time.date(),
                time.hour(),
                time.minute(),
                time.second()
            ),
            String::new(),
            format!("display {}", self.display.name()),
            format!("delay {}", self.interval.as_secs_f64()),
            format!("hist-cpu {}", self.hist_cpu_seconds),
        ];
        lines.extend(self.iterations.map(|count| format!("iterations {count}")));
        lines.push(format!("sort {}", self.order.key));
        let uri = self.connect.as_ref();
        lines.extend(uri.map(|uri| format!("connect {uri}")));
        for (key, is_set) in [
            ("reverse", self.order.is_reversed),
            ("batch", self.batch),
            ("secure", self.secure),
        ] {
            lines.extend(is_set.then(|| format!("{key} true")));
        }
        lines.extend(HINTS.map(str::to_owned));
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::output::virt_top::View;
    use crate::rank::{Key, Order};
    use crate::settings::Display;

    #[test]
    fn the_settings_that_virt_top_writes() {
        let settings = Settings {
            order: Order {
                key: Key::NetRx,
                is_reversed: false,
            },
            connect: Some("qemu:///system".into()),
            ..Settings::default()
        };
        // 2026-11-22 12:41:25 UTC.
        let content = settings.content(1_795_351_285_000, &TimeZone::UTC, "root");
        assert!(
            content.contains("on 2026-11-22 12:41:25 by root\n"),
            "{content}"
        );
        let golden = include_str!("../../tests/golden/virt-top/virt-toprc");
        let set = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let written: Vec<&str> = content.lines().filter(set).collect();
        assert_eq!(written, golden.lines().filter(set).collect::<Vec<_>>());
        assert!(content.ends_with('\n'));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rc");
        let settings = Settings {
            display: Display::VirtTop(View::Disks),
            interval: Duration::from_millis(1500),
            hist_cpu_seconds: 7,
            iterations: Some(9),
            order: Order {
                key: Key::Gso,
                is_reversed: true,
            },
            batch: true,
            secure: true,
            init_file: Some(path.clone()),
            ..Settings::default()
        };
        let written = settings.write_init_file(&TimeZone::UTC).unwrap();
        assert_eq!(written, Some(path.clone()));
        let mut read = Settings {
            init_file: Some(path.clone()),
            ..Settings::default()
        };
        let lines = init_file::read(&path).unwrap();
        let mut warnings = Vec::new();
        read.take_file("rc", &lines, &mut warnings).unwrap();
        assert_eq!((read, warnings), (settings, Vec::new()));
        assert_eq!(
            Settings::default().write_init_file(&TimeZone::UTC).unwrap(),
            None
        );
    }
}
