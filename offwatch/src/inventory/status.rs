//! libvirt's status files: names of VMs while libvirt itself does not answer.
//!
//! `/run/libvirt/qemu/NAME.xml` is how the daemon finds its domains again after
//! a restart. The format is internal to libvirt, so a file that is not
//! understood is reported and left out. The daemon removes the file when the
//! VM ends; without the daemon it stays, so the caller compares the process.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::domain_xml::{self, Error, document, domain};
use super::nic::printable;
use crate::facts::domain::Domain;
use crate::sample::{Source, Vm, VmState};

/// Where libvirt's system daemon keeps its status files.
pub const DIRECTORY: &str = "/run/libvirt/qemu";

/// No status file is larger than this.
const LARGEST: u64 = 16 << 20;

/// What the status files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The VMs, by name.
    pub vms: Vec<Vm>,
    /// How they were set up.
    pub setups: Vec<Domain>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
}

/// Reads all status files of a directory. A directory that does not exist
/// holds no VMs.
pub fn read(directory: &Path, is_network_card: &dyn Fn(&str) -> bool) -> Status {
    let mut status = Status::default();
    let mut files: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return status,
        Err(error) => {
            status
                .notes
                .push(format!("{}: {error}", directory.display()));
            return status;
        }
    };
    files.sort();
    let mut refused = Vec::new();
    for file in files {
        match read_text(&file) {
            Ok(xml) => match parse(&xml, is_network_card) {
                Ok((vm, setup)) => {
                    status.vms.push(vm);
                    status.setups.push(setup);
                }
                Err(error) => {
                    let file = printable(&file.display().to_string());
                    status.notes.push(format!("{file}: {error}"));
                }
            },
            // The VM ended in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refused.push(error),
        }
    }
    // One line, not one for each of a thousand files.
    if let Some(error) = refused.first() {
        let files = refused.len();
        let directory = directory.display();
        status.notes.push(format!(
            "{files} status files in {directory} not read: {error}"
        ));
    }
    status
}

/// Parses one status file: the VM, and how it was set up.
pub fn parse(xml: &str, is_network_card: &dyn Fn(&str) -> bool) -> Result<(Vm, Domain), Error> {
    let document = document(xml)?;
    let root = document.root_element();
    if !root.has_tag_name("domstatus") {
        return Err(Error::Missing("domstatus"));
    }
    let element = domain_xml::child(root, "domain").ok_or(Error::Missing("domain"))?;
    let domain = domain(element, is_network_card)?;
    let setup = Domain {
        source: Source::Status,
        ..domain.setup
    };
    let vm = Vm {
        name: domain.name.into(),
        uuid: domain.uuid.map(Into::into),
        id: domain.id,
        pid: root
            .attribute("pid")
            .and_then(|pid| pid.parse().ok())
            .filter(|&pid| pid != 0),
        state: state(root.attribute("state").unwrap_or_default()),
        source: Source::Status,
        nics: domain.nics.into(),
        ..Vm::default()
    };
    Ok((vm, setup))
}

/// A state by the name that libvirt gives it.
fn state(name: &str) -> VmState {
    match name {
        "running" => VmState::Running,
        "blocked" => VmState::Blocked,
        "paused" => VmState::Paused,
        "shutdown" => VmState::Shutdown,
        "shutoff" => VmState::Shutoff,
        "crashed" => VmState::Crashed,
        "pmsuspended" => VmState::Suspended,
        _ => VmState::Unknown,
    }
}

/// Reads a text file of a sane size; a byte that is not UTF-8 is replaced.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LARGEST)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = include_str!("../../tests/data/inventory/status.xml");

    fn no_card(_: &str) -> bool {
        false
    }

    #[test]
    fn status_file_of_a_running_libvirt() {
        let (vm, setup) = parse(STATUS, &no_card).unwrap();
        assert_eq!(
            setup.machine.known().map(String::as_str),
            Some("pc-q35-7.2")
        );
        assert_eq!((setup.source, setup.nics.len()), (Source::Status, 1));
        assert_eq!(&*vm.name, "owt");
        assert_eq!(
            vm.uuid.as_deref(),
            Some("299ca1ed-40c0-4352-97b7-f0eeca5000d6")
        );
        assert_eq!((vm.id, vm.pid), (Some(1), Some(91)));
        assert_eq!(vm.state, VmState::Running);
        assert_eq!(vm.source, Source::Status);
        let devs: Vec<_> = vm.nics.iter().map(|nic| nic.dev.as_deref()).collect();
        assert_eq!(devs, [Some("vnet0")]);
    }

    #[test]
    fn a_directory_of_good_and_bad_files() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            fs::write(directory.path().join(name), content).unwrap();
        };
        write("owt.xml", STATUS.as_bytes());
        write(
            "paused.xml",
            STATUS.replace("'running'", "'paused'").as_bytes(),
        );
        write("cut.xml", &STATUS.as_bytes()[..STATUS.len() / 2]);
        write("empty.xml", b"");
        write(
            "latin1.xml",
            b"<domstatus state='running'><domain><name>\xe9</name></domain></domstatus>",
        );
        write("other.xml", b"<network><name>default</name></network>");
        write("owt.pid", b"91\n");
        fs::create_dir(directory.path().join("directory.xml")).unwrap();
        let status = read(directory.path(), &no_card);
        let names: Vec<_> = status.vms.iter().map(|vm| &*vm.name).collect();
        assert_eq!(names, ["\u{fffd}", "owt", "owt"]);
        assert_eq!(status.vms[2].state, VmState::Paused);
        let notes = status.notes.join("\n");
        for file in ["cut.xml", "empty.xml", "other.xml", "1 status files"] {
            assert!(notes.contains(file), "{file}: {notes}");
        }
        assert_eq!(status.notes.len(), 4);
    }

    #[test]
    fn no_directory_is_no_vm() {
        assert_eq!(read(Path::new("/nonexistent"), &no_card), Status::default());
    }

    #[test]
    fn truncation_is_an_error() {
        let end = STATUS.trim_end().len();
        for cut in (0..end)
            .step_by(7)
            .filter(|&cut| STATUS.is_char_boundary(cut))
        {
            assert!(parse(&STATUS[..cut], &no_card).is_err(), "cut at {cut}");
        }
        for xml in [
            "<domstatus/>",
            "<domain><name>a</name></domain>",
            "<domstatus pid='x'><domain/></domstatus>",
        ] {
            assert!(parse(xml, &no_card).is_err(), "{xml}");
        }
    }
}
