//! What is counted where it is done, and which drops can be told apart.

use offwatch_common::drop_class;

use super::Check;
use crate::sample::{ExactHooks, Exactness};

const SEGMENTS: &str = "exact segments";
const CHECKSUMS: &str = "exact checksums";
const SCTP: &str = "exact SCTP sums";
const DROPS: &str = "drop classes";

/// `hooks` is what was attached along with a hook that counts packets, if any was.
pub(super) fn checks(hooks: Option<&ExactHooks>) -> Vec<Check> {
    let Some(hooks) = hooks else {
        let not_tried = |name| Check::unknown(name, "not tried, as no packet can be counted");
        return [SEGMENTS, CHECKSUMS, SCTP, DROPS].map(not_tried).into();
    };
    vec![
        function(
            SEGMENTS,
            "__skb_gso_segment",
            &hooks.segmentation,
            "software segments are derived, so at least (~) while frames are dropped; no times",
        ),
        function(
            CHECKSUMS,
            "skb_checksum_help",
            &hooks.checksum,
            "checksum bytes are derived, so at least (~) while frames are dropped; no times",
        ),
        function(
            SCTP,
            "skb_crc32c_csum_help",
            &hooks.crc32c,
            "checksum bytes are derived, as those of SCTP would be missing from the exact sum",
        ),
        drops(hooks),
    ]
}

fn function(name: &'static str, function: &str, hook: &Exactness, costs: &'static str) -> Check {
    match hook.method() {
        Ok(method) => Check::ok(
            name,
            format!("{function} is counted and timed by {}", method.name()),
        ),
        Err(reason) => Check::missing(name, reason, costs),
    }
}

fn drops(hooks: &ExactHooks) -> Check {
    let unknown = &hooks.unknown_drops;
    if unknown.is_empty() {
        return Check::ok(DROPS, drop_class::NAMES.join(", "));
    }
    let unknown = unknown
        .iter()
        .map(|(name, reason)| format!("{name}: {reason}"));
    Check::missing(
        DROPS,
        unknown.collect::<Vec<_>>().join("; "),
        "such drops are only in the sum of all drops",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::doctor::Status, sample::Method};

    #[test]
    fn each_function_is_told_by_itself() {
        let hooks = ExactHooks {
            segmentation: Exactness::Exact(Method::Kprobe),
            checksum: Exactness::Exact(Method::Fexit),
            crc32c: Exactness::Unavailable("it has a .part.0".into()),
            ..ExactHooks::default()
        };
        let checks = checks(Some(&hooks));
        assert!(
            checks[0].found.ends_with("by kprobe"),
            "{}",
            checks[0].found
        );
        assert!(checks[1].found.ends_with("by fexit"), "{}", checks[1].found);
        assert_eq!(checks[2].status, Status::Missing);
        assert_eq!(checks[2].found, "it has a .part.0");
        assert_eq!(checks[3].status, Status::Ok);
    }

    #[test]
    fn what_was_not_tried_is_unknown() {
        assert!(
            checks(None)
                .iter()
                .all(|check| check.status == Status::Unknown)
        );
    }
}
