//! Files that options name: no two may be one.

use std::{
    fs::{Metadata, metadata},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, absolute},
};

use crate::{error::Error, record::is_standard_stream};

/// Fails where two options would write to one file, or one would write over
/// what another one reads. Options by their names, with what they were given.
pub(super) fn check(options: &[(&'static str, Option<&Path>)]) -> Result<(), Error> {
    let given = options.iter();
    let given = given.filter_map(|&(option, path)| Some((option, path?)));
    let given: Vec<(&'static str, &Path)> = given.collect();
    for (index, &(one, path)) in given.iter().enumerate() {
        for &(other, other_path) in &given[index + 1..] {
            if are_one(path, other_path) {
                let path = match is_standard_stream(path) {
                    true => "stdout".into(),
                    false => path.display().to_string(),
                };
                return Err(Error::SameFile { one, other, path });
            }
        }
    }
    Ok(())
}

fn are_one(one: &Path, other: &Path) -> bool {
    if is_standard_stream(one) || is_standard_stream(other) {
        return one == other;
    }
    match (metadata(one), metadata(other)) {
        // As /dev/null, which may take everything.
        (Ok(found), Ok(_)) if found.file_type().is_char_device() => false,
        (Ok(one), Ok(other)) => identity(&one) == identity(&other),
        (Err(_), Err(_)) => match (absolute(one), absolute(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        },
        _ => false,
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_have_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("there"), "").unwrap();
        std::os::unix::fs::symlink(path("there"), path("link")).unwrap();
        let refused = |one: &str, other: &str| {
            let one = path(one);
            let other = path(other);
            check(&[
                ("csv", Some(&one)),
                ("debug", None),
                ("record", Some(&other)),
            ])
            .err()
            .map(|error| error.to_string())
        };
        let told = refused("new", "new").unwrap();
        assert!(
            told.starts_with("--csv and --record name the same file: "),
            "{told}"
        );
        assert!(refused("there", "link").is_some());
        // A path that is absolute stays what it is.
        assert!(refused("new", "./new").is_some());
        assert_eq!(refused("new", "other"), None);
        assert_eq!(refused("new", "there"), None);
        assert_eq!(refused("/dev/null", "/dev/null"), None);
        let stdout = Some(Path::new("-"));
        let told = check(&[("csv", stdout), ("record", stdout)]).unwrap_err();
        assert!(told.to_string().ends_with(": stdout"), "{told}");
        assert!(check(&[("csv", stdout), ("record", Some(Path::new("x")))]).is_ok());
    }
}
