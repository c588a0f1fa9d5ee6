//! Prints what the exact hooks cost where they can be had: `cargo xtask vm --
//! --ignored cost`. Times are no test.

use anyhow::Result;
use offwatch_tests::{bench::exact, skip_unless_lab};

#[test]
#[ignore = "measures, and tests nothing"]
fn cost_of_exact_hooks() -> Result<()> {
    skip_unless_lab!();
    for cost in exact::measure(6)? {
        println!("{cost}");
    }
    Ok(())
}
