//! docs/without-root.md, to the letter: what it shows needs neither a host nor root.
//! `TRYCMD=overwrite` writes what the commands print into it.

use std::path::Path;

#[test]
fn the_page_without_root_shows_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(&root).expect("the checkout");
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("TZ", "UTC")
        .env("COLUMNS", "80")
        .case("docs/without-root.md");
}
