//! Makes an object's BTF independent of the machine that built it.
//!
//! LLVM copies the text of source lines into BTF where it can open the source
//! by the name recorded for it. The names of our own files and of dependencies
//! are remapped and open nowhere, but those of the standard library are not
//! ours to remap everywhere: they were compiled into it, and open wherever its
//! source is installed. So line texts are dropped (file and line stay, for the
//! verifier's log), library files get one name, and the strings that remain
//! are laid out anew.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// The name of the standard library's source directory.
pub(super) const RUST_SOURCE: &str = "/rust";

const MAGIC: u32 = 0xEB9F;
/// In `struct btf_header`: the header's length, then offset and length of the
/// types and of the strings, both counted from the header's end.
const HEADER_LENGTH: usize = 4;
const TYPES: usize = 8;
const STRINGS: usize = 16;
/// In `struct btf_ext_header`: offset and length of function and line records.
const FUNCTIONS: usize = 8;
const LINES: usize = 16;
/// Only in headers long enough; Rust code has none.
const RELOCATIONS: usize = 24;

/// In a line record: the offset of the file's name, of the line's text.
const FILE_NAME: usize = 4;
const LINE_TEXT: usize = 8;

/// The sections .BTF and .BTF.ext, made portable. No type and no record moves,
/// so relocations against them stay valid.
pub(super) fn portable(btf: &[u8], ext: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut btf = Words(btf.to_vec());
    let mut ext = Words(ext.to_vec());
    ensure!(
        btf.get(0)? & 0xffff == MAGIC && ext.get(0)? & 0xffff == MAGIC,
        "not BTF"
    );
    let (types_start, types_end) = btf.span(TYPES)?;
    let (strings_start, strings_end) = btf.span(STRINGS)?;
    // What follows them must not move.
    ensure!(
        strings_start >= types_end && strings_end == btf.0.len(),
        "unusual BTF layout"
    );
    let old = btf.0.split_off(strings_start);
    let mut strings = Strings::new(&old);

    let mut at = types_start;
    while at < types_end {
        at = rename_type(&mut btf, at, &mut strings)?;
    }
    let header_length = ext.get(HEADER_LENGTH)? as usize;
    if header_length >= RELOCATIONS + 8 {
        ensure!(
            ext.get(RELOCATIONS + 4)? == 0,
            "CO-RE relocations are not handled"
        );
    }
    for_each_record(&mut ext, FUNCTIONS, &mut strings, |_, _, _| Ok(()))?;
    for_each_record(&mut ext, LINES, &mut strings, |ext, record, strings| {
        ext.set(record + LINE_TEXT, 0)?;
        strings.replace(ext, record + FILE_NAME)
    })?;

    btf.set(STRINGS + 4, u32::try_from(strings.new.len())?)?;
    btf.0.extend(strings.new);
    Ok((btf.0, ext.0))
}

/// Renames a type and its members; returns where the next type starts.
fn rename_type(btf: &mut Words, at: usize, strings: &mut Strings<'_>) -> Result<usize> {
    strings.replace(btf, at)?;
    let info = btf.get(at + 4)?;
    let members = (info & 0xffff) as usize;
    let at = at + 12;
    // Numbers of <linux/btf.h>. The size of what follows, and whether it is
    // an array of which each element starts with a name.
    let (size, named) = match info >> 24 & 0x1f {
        // Pointer, forward, typedef, volatile, const, restrict, function,
        // float, type tag.
        2 | 7..=12 | 16 | 18 => (0, false),
        // Integer, variable, declaration tag.
        1 | 14 | 17 => (4, false),
        // Array.
        3 => (12, false),
        // Struct, union, 64-bit enum.
        4 | 5 | 19 => (12, true),
        // Enum, function prototype.
        6 | 13 => (8, true),
        // Data section.
        15 => return Ok(at + 12 * members),
        kind => bail!("unknown BTF kind {kind}"),
    };
    if !named {
        return Ok(at + size);
    }
    for member in 0..members {
        strings.replace(btf, at + size * member)?;
    }
    Ok(at + size * members)
}

/// Renames the sections that records are grouped by, and hands out each record.
fn for_each_record(
    ext: &mut Words,
    header_field: usize,
    strings: &mut Strings<'_>,
    mut change: impl FnMut(&mut Words, usize, &mut Strings<'_>) -> Result<()>,
) -> Result<()> {
    let (start, end) = ext.span(header_field)?;
    if start == end {
        return Ok(());
    }
    let record_size = ext.get(start)? as usize;
    let mut at = start + 4;
    while at < end {
        strings.replace(ext, at)?;
        let records = ext.get(at + 4)?;
        at += 8;
        for _ in 0..records {
            change(ext, at, strings)?;
            at += record_size;
        }
    }
    Ok(())
}

/// Little-endian words by their byte offset.
struct Words(Vec<u8>);

impl Words {
    fn get(&self, at: usize) -> Result<u32> {
        let bytes = self.0.get(at..at + 4).context("truncated BTF")?;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    }

    fn set(&mut self, at: usize, value: u32) -> Result<()> {
        let bytes = self.0.get_mut(at..at + 4).context("truncated BTF")?;
        bytes.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Start and end of what a header describes by offset and length.
    fn span(&self, header_field: usize) -> Result<(usize, usize)> {
        let start = self.get(HEADER_LENGTH)? as usize + self.get(header_field)? as usize;
        let end = start + self.get(header_field + 4)? as usize;
        ensure!(end <= self.0.len(), "truncated BTF");
        Ok((start, end))
    }
}

/// The strings in use, in order of their first use.
struct Strings<'old> {
    old: &'old [u8],
    new: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl<'old> Strings<'old> {
    /// Offset 0 is the empty string, by definition of the format.
    fn new(old: &'old [u8]) -> Self {
        Self {
            old,
            new: vec![0],
            offsets: HashMap::from([(String::new(), 0)]),
        }
    }

    /// Replaces the offset of an old string, stored at `at`, by that of a new one.
    fn replace(&mut self, words: &mut Words, at: usize) -> Result<()> {
        let rest = self
            .old
            .get(words.get(at)? as usize..)
            .context("no such BTF string")?;
        let length = rest
            .iter()
            .position(|&byte| byte == 0)
            .context("unended BTF string")?;
        let offset = self.intern(portable_path(str::from_utf8(&rest[..length])?))?;
        words.set(at, offset)
    }

    fn intern(&mut self, string: String) -> Result<u32> {
        if let Some(&known) = self.offsets.get(&string) {
            return Ok(known);
        }
        let offset = u32::try_from(self.new.len())?;
        self.new.extend(string.bytes().chain([0]));
        self.offsets.insert(string, offset);
        Ok(offset)
    }
}

/// The standard library's files have one name on Debian, another in builds of
/// the Rust project, and a third where their source is installed.
fn portable_path(string: &str) -> String {
    let inside = if string.starts_with("/usr/src/rustc-") || string.starts_with("/rustc/") {
        string.find("/library/").map(|start| &string[start..])
    } else {
        string
            .split_once("/lib/rustlib/src/rust")
            .map(|(_sysroot, inside)| inside)
    };
    inside.map_or_else(
        || string.to_owned(),
        |inside| format!("{RUST_SOURCE}{inside}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A struct `s { a }`, a data section, an integer `i`; one line of `file`,
    /// with its text if the source could be opened.
    fn object(file: &str, text: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        let mut strings = b"\0s\0a\0i\0.text\0".to_vec();
        let mut add = |string: &str| {
            let offset = strings.len() as u32;
            strings.extend(string.bytes().chain([0]));
            offset
        };
        let text = text.map_or(0, &mut add);
        let file = add(file);
        let (s, a, i, section) = (1, 3, 5, 7);
        let types = words(&[
            s,
            4 << 24 | 1,
            4,
            a,
            3,
            0, // struct
            section,
            15 << 24 | 1,
            4,
            3,
            0,
            4, // data section
            i,
            1 << 24,
            4,
            32, // integer
        ]);
        let mut btf = words(&[MAGIC | 1 << 16, 24, 0, types.len() as u32]);
        btf.extend(words(&[types.len() as u32, strings.len() as u32]));
        btf.extend(types);
        btf.extend(strings);
        let mut ext = words(&[MAGIC | 1 << 16, 24, 0, 20, 20, 28]);
        ext.extend(words(&[8, section, 1, 0, 1]));
        ext.extend(words(&[16, section, 1, 0, file, text, 7 << 10]));
        (btf, ext)
    }

    fn string_at(btf: &[u8], offset: u32) -> String {
        let start = btf.len() - Words(btf.to_vec()).get(STRINGS + 4).unwrap() as usize;
        let rest = &btf[start + offset as usize..];
        String::from_utf8(rest.split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn installed_sources_make_no_difference() {
        let with = object(
            "/usr/src/rustc-1.96.0/library/core/src/option.rs",
            Some("let x = 1;"),
        );
        let without = object("/usr/lib/rustlib/src/rust/library/core/src/option.rs", None);
        assert_ne!(with, without);
        let portable_with = portable(&with.0, &with.1).unwrap();
        assert_eq!(portable_with, portable(&without.0, &without.1).unwrap());
        assert!(!portable_with.0.windows(4).any(|bytes| bytes == b"let "));
    }

    #[test]
    fn names_and_places_stay() {
        let (btf, ext) = object("/offwatch/src/main.rs", Some("text"));
        let (new_btf, new_ext) = portable(&btf, &ext).unwrap();
        assert_eq!(ext.len(), new_ext.len());
        let (old, new) = (Words(btf.clone()), Words(new_btf.clone()));
        for name in [24, 24 + 12, 48, 72] {
            let old_name = string_at(&btf, old.get(name).unwrap());
            assert_eq!(string_at(&new_btf, new.get(name).unwrap()), old_name);
        }
        let line = Words(new_ext);
        let record = 24 + 20 + 12;
        let file = line.get(record + FILE_NAME).unwrap();
        assert_eq!(string_at(&new_btf, file), "/offwatch/src/main.rs");
        assert_eq!(line.get(record + LINE_TEXT).unwrap(), 0);
        assert_eq!(line.get(record + 12).unwrap(), 7 << 10);
    }

    #[test]
    fn making_portable_twice_changes_nothing() {
        let (btf, ext) = object("/rustc/abc/library/core/src/option.rs", None);
        let once = portable(&btf, &ext).unwrap();
        assert_eq!(portable(&once.0, &once.1).unwrap(), once);
    }

    #[test]
    fn damaged_btf_is_refused() {
        let (btf, ext) = object("file", None);
        for length in 0..btf.len() {
            assert!(portable(&btf[..length], &ext).is_err(), "{length} bytes");
        }
        for length in 0..ext.len() {
            assert!(portable(&btf, &ext[..length]).is_err(), "{length} bytes");
        }
        assert!(portable(&words(&[1; 16]), &ext).is_err());
    }
}
