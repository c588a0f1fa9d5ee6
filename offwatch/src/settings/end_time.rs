//! `--end-time`: when to end, in virt-top's forms.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// When to end, as the user gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndTime {
    /// `+HH:MM:SS` or `+SECONDS`: so long after the start.
    After(Duration),
    /// `HH:MM:SS`: today, local time.
    Today(Time),
    /// `YYYY-MM-DD HH:MM:SS`, local time.
    At(DateTime),
}

impl FromStr for EndTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text.trim()).ok_or_else(|| {
            "not a time; use 'YYYY-MM-DD HH:MM:SS', HH:MM:SS, +HH:MM:SS or +SECONDS".to_owned()
        })
    }
}

fn parse(text: &str) -> Option<EndTime> {
    if let Some(period) = text.strip_prefix('+') {
        let seconds = match period.contains(':') {
            true => {
                let [hours, minutes, seconds] = numbers(period, ':')?;
                let in_range = minutes < 60 && seconds < 60;
                in_range.then_some(hours * 3600 + minutes * 60 + seconds)?
            }
            false => number(period)?,
        };
        return Some(EndTime::After(Duration::from_secs(seconds.into())));
    }
    if !text.contains('-') {
        return time(text).map(EndTime::Today);
    }
    let (date, of_day) = text.split_once(' ')?;
    let [year, month, day] = numbers(date, '-')?;
    let date = Date::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    );
    Some(EndTime::At(date.ok()?.to_datetime(time(of_day.trim())?)))
}

fn time(text: &str) -> Option<Time> {
    let [hour, minute, second] = numbers(text, ':')?;
    let [hour, minute, second] = [hour, minute, second].map(i8::try_from);
    Time::new(hour.ok()?, minute.ok()?, second.ok()?, 0).ok()
}

fn numbers(text: &str, separator: char) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = text.split(separator).map(number).collect();
    numbers?.try_into().ok()
}

/// Up to 9 digits, and nothing else.
fn number(text: &str) -> Option<u32> {
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// When to end, by the clock of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Monotonic clock, nanoseconds.
    Monotonic(u64),
    /// Wall clock, milliseconds since the Unix epoch.
    Wall(u64),
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// Wall clock, milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl EndTime {
    /// The moment it stands for, counted from a start.
    pub fn deadline(self, start: Moment, zone: &TimeZone) -> Result<Deadline, String> {
        let datetime = match self {
            Self::After(period) => {
                let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
                let end = start.monotonic_ns.saturating_add(period);
                return Ok(Deadline::Monotonic(end));
            }
            Self::Today(time) => {
                let now = zone.to_datetime(timestamp(start.unix_ms));
                now.date().to_datetime(time)
            }
            Self::At(datetime) => datetime,
        };
        let time = zone.to_timestamp(datetime);
        let unix_ms = time.map_err(|error| error.to_string())?.as_millisecond();
        Ok(Deadline::Wall(u64::try_from(unix_ms).unwrap_or_default()))
    }
}

fn timestamp(unix_ms: u64) -> Timestamp {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX)
}

impl Deadline {
    /// Time from `moment` on; none if it has passed.
    pub fn left(self, moment: Moment) -> Duration {
        match self {
            Self::Monotonic(end) => Duration::from_nanos(end.saturating_sub(moment.monotonic_ns)),
            Self::Wall(end) => Duration::from_millis(end.saturating_sub(moment.unix_ms)),
        }
    }

    /// The moment in universal time, as virt-top prints it; `start` tells how
    /// the two clocks belong together.
    pub fn in_utc(self, start: Moment) -> String {
        let left = u64::try_from(self.left(start).as_millis()).unwrap_or(u64::MAX);
        let unix_ms = match self {
            Self::Monotonic(_) => start.unix_ms.saturating_add(left),
            Self::Wall(end) => end,
        };
        let time = TimeZone::UTC.to_datetime(timestamp(unix_ms));
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:36:32.5 UTC.
    const START: Moment = Moment {
        monotonic_ns: 7_000_000_000,
        unix_ms: 1_795_350_992_500,
    };

    fn deadline(text: &str, zone: &TimeZone) -> Deadline {
        let end: EndTime = text.parse().unwrap();
        end.deadline(START, zone).unwrap()
    }

    #[test]
    fn periods_count_from_the_start() {
        for (text, seconds) in [
            ("+00:01:00", 60),
            ("+01:00:01", 3601),
            ("+180", 180),
            ("+0", 0),
        ] {
            let end = deadline(text, &TimeZone::UTC);
            assert_eq!(end.left(START), Duration::from_secs(seconds), "{text}");
        }
        let end = deadline("+00:00:20", &TimeZone::UTC);
        assert_eq!(end.in_utc(START), "2026-11-22 12:36:52");
        // The wall clock may be set; the period stays.
        let set = Moment {
            unix_ms: 0,
            ..START
        };
        assert_eq!(end.left(set), Duration::from_secs(20));
    }

    #[test]
    fn times_of_day_are_local() {
        let hour_ahead = TimeZone::fixed(jiff::tz::offset(1));
        let end = deadline("13:37:00", &hour_ahead);
        assert_eq!(end.left(START), Duration::from_millis(27_500));
        assert_eq!(end.in_utc(START), "2026-11-22 12:37:00");
        let end = deadline("2026-11-23 00:00:00", &hour_ahead);
        assert_eq!(end.in_utc(START), "2026-11-22 23:00:00");
        // Past already.
        assert_eq!(
            deadline("00:00:01", &hour_ahead).left(START),
            Duration::ZERO
        );
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "+",
            "soon",
            "12:00",
            "25:00:00",
            "12:60:00",
            "+00:60:00",
            "+1:2",
            "+-5",
            "-5",
            "2026-13-01 00:00:00",
            "2026-02-30 00:00:00",
            "2026-02-01",
            "2026-02-01T00:00:00",
            "+99999999999",
            "1e3",
            "+1.5",
        ] {
            let error = text.parse::<EndTime>().unwrap_err();
            assert!(error.contains("+HH:MM:SS"), "{text}: {error}");
        }
    }
}
