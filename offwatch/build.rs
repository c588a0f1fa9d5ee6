//! Names the BPF object to embed: the committed one, or the one that
//! `OFFWATCH_EBPF_OBJECT` points to.

use std::{env, path::PathBuf};

const OBJECT: &str = "OFFWATCH_EBPF_OBJECT";

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = match env::var_os(OBJECT) {
        Some(path) => PathBuf::from(path),
        None => manifest.join("prebuilt/offwatch.bpf.o"),
    };
    println!("cargo::rerun-if-env-changed={OBJECT}");
    println!("cargo::rerun-if-changed={}", object.display());
    if std::fs::metadata(&object).map_or(0, |file| file.len()) == 0 {
        println!(
            "cargo::error=no BPF object at {}: run `cargo xtask ebpf`",
            object.display()
        );
        return;
    }
    println!("cargo::rustc-env={OBJECT}={}", object.display());
}
