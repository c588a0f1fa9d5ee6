//! virt-top's init file, `~/.virt-toprc`: lines `key value`, and `#` comments.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: usize,
    /// What is set.
    pub key: String,
    /// To what.
    pub value: String,
}

/// The file of a user who names none.
pub fn default_path() -> PathBuf {
    const NAME: &str = ".virt-toprc";
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/".into());
    Path::new(&home).join(NAME)
}

/// No init file is longer than this; a device has no end.
const LONGEST: u64 = 1 << 20;

/// Reads the lines that set something. Bytes that are not UTF-8 are replaced.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Err(io::Error::other("not an init file: it is not text"));
    }
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("not an init file: longer than 1 MiB"));
    }
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(text: &str) -> Vec<Line> {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let line = line.trim();
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        Line {
            number: index + 1,
            key: key.to_owned(),
            value: value.trim().to_owned(),
        }
    });
    lines
        .filter(|line| !line.key.is_empty() && !line.key.starts_with('#'))
        .collect()
}

/// Replaces the file; what was there becomes `FILE.old`.
pub fn write(path: &Path, content: &str) -> io::Result<()> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let new = beside(".new");
    // One that was left behind, or a link that somebody else put there.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(content.as_bytes())?;
    match fs::rename(path, beside(".old")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_set_something() {
        let text = "# .virt-toprc\n\n \t# indented\ndisplay task\n  delay\t 3 \nconnect qemu:///system\nalone\r\n";
        let lines: Vec<(usize, String, String)> = parse(text)
            .into_iter()
            .map(|line| (line.number, line.key, line.value))
            .collect();
        let line = |number, key: &str, value: &str| (number, key.to_owned(), value.to_owned());
        assert_eq!(
            lines,
            [
                line(4, "display", "task"),
                line(5, "delay", "3"),
                line(6, "connect", "qemu:///system"),
                line(7, "alone", ""),
            ]
        );
    }

    #[test]
    fn what_cannot_be_an_init_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rc");
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(refused(b"delay 3\n\0").contains("not text"));
        let long = "#\n".repeat(1 << 19) + "delay 3\n";
        assert!(refused(long.as_bytes()).contains("longer than 1 MiB"));
        // It never ends.
        assert!(read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn the_old_file_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rc");
        let text = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            fs::read_to_string(name).ok()
        };
        write(&path, "one").unwrap();
        assert_eq!((text(""), text(".old")), (Some("one".into()), None));
        write(&path, "two").unwrap();
        assert_eq!(text(""), Some("two".into()));
        assert_eq!((text(".old"), text(".new")), (Some("one".into()), None));
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rc");
        let precious = directory.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, directory.path().join("rc.new")).unwrap();
        write(&path, "one").unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    }
}
