//! The checksum of SCTP (CRC32c), which no tap offers to compute.

use anyhow::Result;
use offwatch_tests::{
    Lab,
    exact::{METHODS, lacking, say},
    observer::{Observer, Seen, grown, interface},
    pod::{self, Pod},
    sctp,
    skip::skipped,
    skip_unless_lab,
};
use serde_json::Value;

const CHECKSUM_BYTES: &str = "software_checksum_bytes_total";

/// A container's SCTP leaves its checksum to whoever can compute it, and a tap
/// cannot: `skb_crc32c_csum_help` does, or segmentation.
#[test]
fn checksums_of_sctp_are_counted_where_they_are_computed() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = sctp::lacking() {
        skipped(&reason);
        return Ok(());
    }
    let mut lab = Lab::new()?;
    lab.add_guests(&["db"])?;
    let guest = lab.guest(0);
    let pod = Pod::start(&lab, guest)?;
    let mut observers = Vec::new();
    let mut refused = Vec::new();
    for method in METHODS {
        let observer = Observer::start(lab.host(), &["--exact", method])?;
        match lacking(&observer.now()?, method, "crc32c")? {
            None => observers.push((method, observer)),
            Some(reason) => refused.push(reason),
        }
    }
    // 5.10 has a part of the function, which neither method takes for it.
    if observers.is_empty() {
        refused.iter().for_each(|reason| skipped(reason));
        return Ok(());
    }
    say(&refused, true)?;
    lab.wait_quiet()?;
    let truth = guest.counts()?;
    let before = observers.iter().map(|(_, observer)| observer.now());
    let before = before.collect::<Result<Vec<_>>>()?;

    sctp::send(pod.ns(), guest.ns(), guest.config().ip4, 500)?;

    lab.wait_quiet()?;
    let received = guest.counts()?.since(&truth).to_vm;
    assert_eq!((received.gso_frames, received.needs_csum_frames), (0, 0));
    // Ethernet and IPv4 headers are not covered.
    let covered = received.bytes - received.packets * (14 + 20);
    for ((method, observer), before) in observers.iter().zip(before) {
        let after = observer.now()?;
        let exact = |model: &Value, role: &str, device: &str| -> Result<Value> {
            Ok(interface(model, device)?[role]["software_work"]["exact"].clone())
        };
        for (role, device) in [("tx", guest.tap()), ("caused", pod::DEVICE)] {
            let (now, then) = (exact(&after, role, device)?, exact(&before, role, device)?);
            let grown = |field| grown(&now, &then, field);
            assert!(grown("crc32c_calls_total")? > 0, "{method} {role}");
            assert!(grown("crc32c_ns_total")? > 0, "{method} {role}");
            assert_eq!(grown("checksum_bytes_total")?, 0, "{method} {role}");
            let inside = grown("segmentation_checksum_bytes_total")?;
            let outside = grown("crc32c_bytes_total")?;
            assert_eq!(
                inside + outside,
                covered,
                "{method} {role}: {inside} + {outside}"
            );
        }
        let (after, before) = (Seen::of(&after, guest)?, Seen::of(&before, guest)?);
        assert_eq!(grown(&after.to_vm, &before.to_vm, CHECKSUM_BYTES)?, covered);
        let derived = |seen: &Seen| seen.to_vm["software_work"]["derived"].clone();
        let derived = grown(&derived(&after), &derived(&before), CHECKSUM_BYTES)?;
        assert_eq!(derived, covered, "{method}: derived");
    }
    Ok(())
}
