//! Writer for the "newc" cpio format, which the kernel unpacks as initramfs.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An archive in memory. Parent directories are added on demand, because the
/// kernel drops a file whose directory does not exist yet.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds an empty directory.
    pub(crate) fn directory(&mut self, path: impl AsRef<Path>) {
        let mut so_far = PathBuf::new();
        for component in path.as_ref().components() {
            if let Component::Normal(name) = component {
                so_far.push(name);
                if self.entries.insert(so_far.clone()) {
                    self.entry(&so_far.to_string_lossy(), DIRECTORY | 0o755, &[]);
                }
            }
        }
    }

    /// Adds a file with permission bits `mode`. The first of two files with one
    /// path stays: libraries shared by several programs are added many times.
    pub(crate) fn file(&mut self, path: impl AsRef<Path>, mode: u32, data: &[u8]) {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path);
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
        if self.entries.insert(path.to_owned()) {
            self.entry(&path.to_string_lossy(), REGULAR | mode, data);
        }
    }

    /// Ends the archive and returns its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        let inode = self.entries.len();
        let links = if mode & DIRECTORY == 0 { 1 } else { 2 };
        let size = data.len();
        let name_size = name.len() + 1;
        // Magic, then 13 fields of 8 hexadecimal digits; owner, time, device
        // numbers and checksum are zero.
        self.bytes.extend_from_slice(
            format!(
                "070701{inode:08x}{mode:08x}{z}{z}{links:08x}{z}{size:08x}{z}{z}{z}{z}{name_size:08x}{z}",
                z = "00000000"
            )
            .as_bytes(),
        );
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_headers_parents_and_padding() {
        let mut archive = Archive::default();
        archive.file("/a/b", 0o644, b"hello");
        archive.file("a/b", 0o644, b"ignored");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 3, "a, a/b and the trailer");
        // 110 bytes of header, "a" and its NUL: exactly 112.
        assert_eq!(&text[14..22], "000041ed", "directory, rwxr-xr-x");
        assert_eq!(&text[112..118], "070701");
        assert_eq!(&text[112 + 14..112 + 22], "000081a4", "file, rw-r--r--");
        assert_eq!(&text[112 + 54..112 + 62], "00000005", "size");
        assert!(text.contains("hello") && !text.contains("ignored"));
    }
}
