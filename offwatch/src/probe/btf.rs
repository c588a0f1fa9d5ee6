//! A reader of BTF, the kernel's own type information: where structure members
//! lie and what enumerators are worth on the running kernel.
//!
//! Format: `Documentation/bpf/btf.rst` of the kernel. Every offset in the data
//! is checked, so damaged BTF is an error and never a panic.

mod functions;

use std::path::Path;

/// Where the kernel shows its own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const VOID: u32 = 0;

/// Why BTF could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file cannot be read.
    #[error("cannot read kernel type information (BTF) from {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The data is not BTF, or is damaged.
    #[error("kernel type information (BTF) is damaged: {0}")]
    Damaged(&'static str),
    /// A member that the programs need is missing.
    #[error("this kernel's BTF has no member {0}; offwatch does not know this kernel")]
    NoMember(String),
}

/// BTF of a kernel.
pub struct Btf {
    data: Vec<u8>,
    strings: std::ops::Range<usize>,
    /// Offset in `data` of each type; index 0 is void and has none.
    types: Vec<u32>,
}

/// Where a member lies in its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bits from the start of the structure.
    pub bit_offset: u32,
}

impl Member {
    /// Byte that holds the member, or its first bit.
    pub fn byte(self) -> u32 {
        self.bit_offset / 8
    }

    /// How far a bit field must be shifted right after loading [`Self::byte`].
    pub fn shift(self) -> u32 {
        self.bit_offset % 8
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TypeKind {
    Int,
    Array,
    Struct,
    Union,
    Enum,
    Typedef,
    Qualifier,
    Function,
    FuncProto,
    Var,
    DataSec,
    DeclTag,
    Enum64,
    Plain,
}

struct Type {
    kind: TypeKind,
    name: u32,
    members: usize,
    bit_field_flag: bool,
    size_or_type: u32,
    /// Offset of what follows the common part.
    body: usize,
}

impl Btf {
    /// Reads the running kernel's BTF.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::read(Path::new(VMLINUX))
    }

    /// Reads BTF from a file.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let data = std::fs::read(path).map_err(|source| BtfError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(data)
    }

    /// Checks `data` and indexes its types.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at| read_u32(&data, at).ok_or(BtfError::Damaged("its header is cut off"));
        let magic = data
            .get(..2)
            .and_then(|magic| magic.try_into().ok())
            .map(u16::from_le_bytes);
        if magic != Some(MAGIC) {
            return Err(BtfError::Damaged(
                "it does not start with BTF's magic number",
            ));
        }
        let header = word(4)? as usize;
        let section = |offset: u32, length: u32| {
            let start = header.checked_add(offset as usize)?;
            let end = start.checked_add(length as usize)?;
            (end <= data.len()).then_some(start..end)
        };
        let types = section(word(8)?, word(12)?).ok_or(BtfError::Damaged("types are cut off"))?;
        let strings =
            section(word(16)?, word(20)?).ok_or(BtfError::Damaged("strings are cut off"))?;

        let mut btf = Self {
            data,
            strings,
            types: vec![0],
        };
        let mut at = types.start;
        while at < types.end {
            btf.types
                .push(u32::try_from(at).map_err(|_| BtfError::Damaged("it is too large"))?);
            let parsed = btf
                .type_at(at)
                .ok_or(BtfError::Damaged("a type is cut off"))?;
            at = parsed.body + parsed.body_bytes();
        }
        Ok(btf)
    }

    /// Finds a member of a structure. `path` names nested structures with dots
    /// (`nd_net.net`); unnamed structures and unions are looked into.
    pub fn member(&self, structure: &str, path: &str) -> Result<Member, BtfError> {
        self.find_member(structure, path)
            .ok_or_else(|| BtfError::NoMember(format!("{structure}.{path}")))
    }

    fn find_member(&self, structure: &str, path: &str) -> Option<Member> {
        let mut id = self.structure(structure)?;
        let mut bit_offset = 0;
        for name in path.split('.') {
            let (offset, member_type) = self.member_of(id, name, 0)?;
            bit_offset += offset;
            id = member_type;
        }
        Some(Member { bit_offset })
    }

    /// The value of an enumerator, whatever enumeration it belongs to.
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        self.all().find_map(|parsed| {
            let stride = match parsed.kind {
                TypeKind::Enum => 8,
                TypeKind::Enum64 => 12,
                _ => return None,
            };
            (0..parsed.members).find_map(|index| {
                let at = parsed.body + index * stride;
                if self.is_named(read_u32(&self.data, at)?, name) {
                    read_u32(&self.data, at + 4)
                } else {
                    None
                }
            })
        })
    }

    /// Type ID of a structure.
    pub fn structure(&self, name: &str) -> Option<u32> {
        self.named(TypeKind::Struct, name)
    }

    /// Type ID of a function. That there is one does not mean that it can be
    /// called or traced.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.named(TypeKind::Function, name)
    }

    fn named(&self, kind: TypeKind, name: &str) -> Option<u32> {
        let index = self
            .all()
            .position(|parsed| parsed.kind == kind && self.is_named(parsed.name, name))?;
        u32::try_from(index + 1).ok()
    }

    /// Offset in bits and type of a member, looking into unnamed members.
    fn member_of(&self, id: u32, name: &str, depth: u32) -> Option<(u32, u32)> {
        // Real nesting is three or four deep; damaged BTF may be circular.
        if depth > 16 {
            return None;
        }
        let parsed = self.resolve(id)?;
        if !matches!(parsed.kind, TypeKind::Struct | TypeKind::Union) {
            return None;
        }
        (0..parsed.members).find_map(|index| {
            let at = parsed.body + index * 12;
            let member_name = read_u32(&self.data, at)?;
            let member_type = read_u32(&self.data, at + 4)?;
            let offset = read_u32(&self.data, at + 8)?;
            let bit_offset = if parsed.bit_field_flag {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            if self.name(member_name)?.is_empty() {
                let (inner, inner_type) = self.member_of(member_type, name, depth + 1)?;
                Some((bit_offset.checked_add(inner)?, inner_type))
            } else if self.is_named(member_name, name) {
                Some((bit_offset, member_type))
            } else {
                None
            }
        })
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..32 {
            if id == VOID {
                return None;
            }
            let parsed = self.type_at(*self.types.get(id as usize)? as usize)?;
            if !matches!(parsed.kind, TypeKind::Typedef | TypeKind::Qualifier) {
                return Some(parsed);
            }
            id = parsed.size_or_type;
        }
        None
    }

    fn all(&self) -> impl Iterator<Item = Type> {
        self.types
            .iter()
            .skip(1)
            .filter_map(|at| self.type_at(*at as usize))
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = read_u32(&self.data, at + 4)?;
        let kind = match (info >> 24) & 0x1f {
            1 => TypeKind::Int,
            3 => TypeKind::Array,
            4 => TypeKind::Struct,
            5 => TypeKind::Union,
            6 => TypeKind::Enum,
            8 => TypeKind::Typedef,
            9..=11 | 18 => TypeKind::Qualifier,
            13 => TypeKind::FuncProto,
            14 => TypeKind::Var,
            15 => TypeKind::DataSec,
            17 => TypeKind::DeclTag,
            19 => TypeKind::Enum64,
            12 => TypeKind::Function,
            2 | 7 | 16 => TypeKind::Plain,
            _ => return None,
        };
        Some(Type {
            kind,
            name: read_u32(&self.data, at)?,
            members: (info & 0xffff) as usize,
            bit_field_flag: info >> 31 == 1,
            size_or_type: read_u32(&self.data, at + 8)?,
            body: at + 12,
        })
    }

    fn name(&self, offset: u32) -> Option<&[u8]> {
        let strings = self.data.get(self.strings.clone())?;
        let name = strings.get(offset as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        name.get(..end)
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        let start = self.strings.start + offset as usize;
        let end = start + name.len();
        end < self.strings.end
            && self.data.get(start..end) == Some(name.as_bytes())
            && self.data.get(end) == Some(&0)
    }
}

impl Type {
    fn body_bytes(&self) -> usize {
        match self.kind {
            TypeKind::Int | TypeKind::Var | TypeKind::DeclTag => 4,
            TypeKind::Array => 12,
            TypeKind::Struct | TypeKind::Union | TypeKind::DataSec | TypeKind::Enum64 => {
                12 * self.members
            }
            TypeKind::Enum | TypeKind::FuncProto => 8 * self.members,
            TypeKind::Typedef | TypeKind::Qualifier | TypeKind::Function | TypeKind::Plain => 0,
        }
    }
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
#[path = "btf_tests.rs"]
mod tests;
