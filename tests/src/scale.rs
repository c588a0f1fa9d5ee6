//! How much traffic tests send: all of it here, a part in an emulated machine.

/// `amount` divided by `OFFWATCH_LAB_SCALE`, at least 1.
pub fn scaled(amount: u64) -> u64 {
    (amount / divisor()).max(1)
}

fn divisor() -> u64 {
    let divisor = std::env::var("OFFWATCH_LAB_SCALE")
        .ok()
        .and_then(|text| text.parse().ok());
    divisor.unwrap_or(1).max(1)
}
