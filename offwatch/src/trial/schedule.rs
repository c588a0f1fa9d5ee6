//! In which order the periods of a trial come.

use super::period::Side;

/// The periods of so many rounds, counted from 1: `AB BA AB BA`, so that what only
/// passes with time harms neither side. Two periods of the same side in a row need no
/// change between them.
pub fn order(rounds: u32) -> impl Iterator<Item = (u32, Side)> {
    (1..=rounds).flat_map(|round| {
        let sides = match round % 2 {
            1 => [Side::Without, Side::With],
            _ => [Side::With, Side::Without],
        };
        sides.map(|side| (round, side))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_turns_from_round_to_round() {
        use Side::{With, Without};
        let order: Vec<(u32, Side)> = order(3).collect();
        let expected = [
            (1, Without),
            (1, With),
            (2, With),
            (2, Without),
            (3, Without),
            (3, With),
        ];
        assert_eq!(order, expected);
    }
}
