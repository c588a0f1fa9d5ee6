//! Kernel modules of an unpacked kernel package: which file is which module,
//! what it depends on, and its content as the kernel takes it.
//!
//! Debian's packages hold no `modules.dep` (depmod writes it at installation),
//! so dependencies come from each module's own `depends=` field. Newer suites
//! compress modules; busybox cannot load those, so they are decompressed here.
//! Nothing else is changed: the signature at the end stays valid.

use crate::command;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compressions that modules may have, with the program that undoes each.
const COMPRESSIONS: &[(&str, &str)] = &[("xz", "xz"), ("zst", "zstd"), ("gz", "gzip")];

/// Modules in the order in which they must be loaded.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    pub(crate) modules: Vec<Module>,
    /// Asked for, but neither a module nor part of the kernel image.
    pub(crate) absent: Vec<String>,
}

/// A module, decompressed.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
}

/// `names` and all that they need, from the package unpacked at `tree`.
pub(crate) fn closure(tree: &Path, names: &[&str]) -> Result<Closure> {
    let index = Index::read(tree);
    let mut closure = Closure::default();
    let mut visited = BTreeSet::new();
    for name in names {
        if index.files.contains_key(*name) {
            index.load(name, &mut visited, &mut closure.modules)?;
        } else if !index.built_in.contains(*name) {
            closure.absent.push((*name).to_owned());
        }
    }
    Ok(closure)
}

/// Where modules are, by name.
struct Index {
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

impl Index {
    fn read(tree: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut built_in = BTreeSet::new();
        visit(tree, &mut |path| {
            if let Some(name) = module_name(&path) {
                files.insert(name, path);
            } else if path
                .file_name()
                .is_some_and(|name| name == "modules.builtin")
            {
                let text = fs::read_to_string(&path).unwrap_or_default();
                built_in.extend(text.lines().filter_map(|line| module_name(Path::new(line))));
            }
        });
        Self { files, built_in }
    }

    /// Appends `name` to `order`, after everything that it depends on.
    fn load(
        &self,
        name: &str,
        visited: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<()> {
        if !visited.insert(name.to_owned()) || self.built_in.contains(name) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            bail!("the kernel has no module {name}, which another one depends on");
        };
        let data = read(path)?;
        for dependency in info(&data, "depends").split(',').filter(|d| !d.is_empty()) {
            self.load(&dependency.replace('-', "_"), visited, order)?;
        }
        order.push(Module {
            name: name.to_owned(),
            data,
        });
        Ok(())
    }
}

/// The module in a file, or `None` for another kind of file. File names may use
/// either of "-" and "_".
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let plain = COMPRESSIONS
        .iter()
        .find_map(|(extension, _)| file.strip_suffix(extension)?.strip_suffix('.'))
        .unwrap_or(file);
    Some(plain.strip_suffix(".ko")?.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let extension = path.extension().unwrap_or_default();
    match COMPRESSIONS.iter().find(|(known, _)| extension == *known) {
        Some((_, program)) => command::bytes(Command::new(program).arg("-dc").arg(path)),
        None => fs::read(path).with_context(|| format!("read {}", path.display())),
    }
}

/// A `key=value` string of the module's `.modinfo` section, or "".
fn info(data: &[u8], key: &str) -> String {
    let start = format!("\0{key}=");
    data.windows(start.len())
        .position(|window| window == start.as_bytes())
        .map(|at| &data[at + start.len()..])
        .and_then(|value| value.split(|byte| *byte == 0).next())
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// The first file below `directory`, in order of names, whose name `matches`.
pub(crate) fn find(directory: &Path, matches: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut found = None;
    visit(directory, &mut |path| {
        let name = path.file_name().and_then(|name| name.to_str());
        if found.is_none() && name.is_some_and(matches) {
            found = Some(path);
        }
    });
    found
}

/// Calls `each` with every file below `directory`. Symbolic links are not
/// followed: those of an unpacked package may point into the real system.
fn visit(directory: &Path, each: &mut dyn FnMut(PathBuf)) {
    let entries: BTreeMap<_, _> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.as_ref().ok()?.path(), entry.ok()?.file_type().ok()?)))
        .collect();
    for (path, kind) in entries {
        if kind.is_dir() {
            visit(&path, each);
        } else if kind.is_file() {
            each(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_module_information() {
        let data = b"\x7fELF\0license=GPL\0depends=virtio_ring,virtio\0name=virtio_net\0";
        assert_eq!(info(data, "depends"), "virtio_ring,virtio");
        assert_eq!(info(data, "absent"), "");
    }

    #[test]
    fn names_come_from_files() {
        let name = |file| module_name(Path::new(file));
        assert_eq!(name("kernel/net/sched/sch_htb.ko.xz").unwrap(), "sch_htb");
        assert_eq!(name("crct10dif-pclmul.ko.zst").unwrap(), "crct10dif_pclmul");
        assert_eq!(name("tun.ko").unwrap(), "tun");
        assert_eq!(name("modules.order"), None);
        assert_eq!(name("foxz"), None);
    }

    fn tree(modules: &[(&str, &str)], builtin: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let home = tree.path().join("lib/modules/1.2.3/kernel");
        fs::create_dir_all(&home).unwrap();
        for (file, depends) in modules {
            fs::write(home.join(file), format!("\0depends={depends}\0")).unwrap();
        }
        fs::write(home.join("../modules.builtin"), builtin).unwrap();
        tree
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let tree = tree(
            &[
                ("vhost_net.ko", "tun,vhost,tap"),
                ("vhost.ko", "vhost-iotlb"),
                ("vhost-iotlb.ko", ""),
                ("tap.ko", "tun,core"),
                ("tun.ko", ""),
            ],
            "kernel/core.ko\nkernel/net/packet/af_packet.ko\n",
        );
        let found = closure(tree.path(), &["tun", "vhost_net", "af_packet", "gone"]).unwrap();
        let names: Vec<_> = found.modules.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["tun", "vhost_iotlb", "vhost", "tap", "vhost_net"]);
        assert_eq!(found.absent, ["gone"]);
    }

    #[test]
    fn a_missing_dependency_is_an_error() {
        let tree = tree(&[("a.ko", "b")], "");
        let error = closure(tree.path(), &["a"]).unwrap_err().to_string();
        assert!(error.contains("no module b"), "{error}");
    }
}
