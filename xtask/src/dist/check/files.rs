//! The files of a root, and what two looks at them differ in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::root::as_root;
use crate::run;

/// What package managers write for themselves, caches, and what a boot empties.
const NOT_COMPARED: &[&str] = &[
    "./etc/ld.so.cache",
    "./run/",
    "./tmp",
    "./var/cache/",
    "./var/lib/apt/",
    "./var/lib/dpkg/",
    "./var/lib/rpm",
    "./var/lib/systemd/deb-systemd-helper-",
    "./var/log/",
];

/// By path: kind, mode, owner, size, where a link leads.
pub(super) struct Files(BTreeMap<String, String>);

impl Files {
    pub(super) fn of(root: &Path) -> Result<Self> {
        let mut find = as_root("find");
        find.args([".", "-xdev", "-printf", "%p\\t%y %m %U:%G %l\\t%s\\n"]);
        Ok(Self::parse(&run::output(find.current_dir(root))?))
    }

    fn parse(listing: &str) -> Self {
        let compared = listing.lines().filter(|line| {
            let path = line.split('\t').next().unwrap_or_default();
            !NOT_COMPARED.iter().any(|other| path.starts_with(other))
        });
        let files = compared.filter_map(|line| {
            let mut parts = line.split('\t');
            let (path, kind, size) = (parts.next()?, parts.next()?, parts.next()?);
            // The size of a directory tells how many files it once had.
            let size = if kind.starts_with('d') { "" } else { size };
            Some((path.to_owned(), format!("{kind} {size}")))
        });
        Self(files.collect())
    }
}

/// Lines such as `+ ./usr/bin/x f 755 0:0  12`.
pub(super) fn difference(before: &Files, after: &Files) -> Vec<String> {
    let gone = before
        .0
        .iter()
        .filter(|(path, is)| after.0.get(*path) != Some(*is));
    let new = after
        .0
        .iter()
        .filter(|(path, is)| before.0.get(*path) != Some(*is));
    gone.map(|(path, is)| format!("- {path} {is}"))
        .chain(new.map(|(path, is)| format!("+ {path} {is}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_or_changed_is_told() {
        let before = Files::parse(
            "./etc\td 755 0:0 \t4096\n./etc/a\tf 644 0:0 \t3\n./var/log/dpkg.log\tf 644 0:0 \t9\n",
        );
        let after = Files::parse(
            "./etc\td 755 0:0 \t8192\n./etc/a\tf 644 0:0 \t4\n./etc/b\tl 777 0:0 /x\t2\n\
             ./var/log/dpkg.log\tf 644 0:0 \t99\n",
        );
        assert!(difference(&before, &before).is_empty());
        assert_eq!(
            difference(&before, &after),
            [
                "- ./etc/a f 644 0:0  3",
                "+ ./etc/a f 644 0:0  4",
                "+ ./etc/b l 777 0:0 /x 2"
            ]
        );
    }
}
