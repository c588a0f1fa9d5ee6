//! The order of Debian versions, as dpkg defines it.

use std::cmp::Ordering;

/// Compares two versions without epoch.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let split = |version| str::rsplit_once(version, '-').unwrap_or((version, ""));
    let ((upstream, revision), (other_upstream, other_revision)) = (split(left), split(right));
    part(upstream, other_upstream).then_with(|| part(revision, other_revision))
}

/// Compares alternating runs of other characters and of digits.
fn part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let text = |bytes: &[u8]| {
            bytes
                .iter()
                .take_while(|byte| !byte.is_ascii_digit())
                .count()
        };
        let (a, b) = (text(left), text(right));
        for at in 0..a.max(b) {
            let order = weight(left[..a].get(at)).cmp(&weight(right[..b].get(at)));
            if order.is_ne() {
                return order;
            }
        }
        (left, right) = (&left[a..], &right[b..]);
        let digits = |bytes: &[u8]| {
            bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let (a, b) = (digits(left), digits(right));
        let order = number(&left[..a]).cmp(&number(&right[..b]));
        if order.is_ne() {
            return order;
        }
        (left, right) = (&left[a..], &right[b..]);
    }
    Ordering::Equal
}

/// "~" sorts before the end, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// A key that orders decimal numbers of any length.
fn number(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_dpkg() {
        for (older, newer) in [
            ("5.10.262-1", "6.1.180-1"),
            ("7.2.13-1", "7.10.1-1"),
            ("7.3.4-1~bpo13+1", "7.3.4-1"),
            ("7.3~rc2-1", "7.3-1"),
            ("6.1.180-1", "6.1.180-1.1"),
            ("6.12.115-1", "6.12.115+1-1"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
        }
        assert_eq!(compare("6.01-1", "6.1-1"), Ordering::Equal);
    }
}
