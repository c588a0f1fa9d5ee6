//! What BTF tells about functions, and whole enumerations.

use super::{Btf, TypeKind, read_u32};

impl Btf {
    /// How many parameters a function has; `None` if there is none of that name.
    pub fn parameters(&self, function: &str) -> Option<usize> {
        let function = self.type_by_id(self.function(function)?)?;
        let prototype = self.type_by_id(function.size_or_type)?;
        (prototype.kind == TypeKind::FuncProto).then_some(prototype.members)
    }

    /// Names and values of an enumeration; empty if there is none of that name.
    pub fn enumerators(&self, enumeration: &str) -> Vec<(String, u32)> {
        let found = self.all().find(|parsed| {
            parsed.kind == TypeKind::Enum && self.is_named(parsed.name, enumeration)
        });
        let Some(found) = found else {
            return Vec::new();
        };
        let enumerator = |index: usize| {
            let at = found.body + index * 8;
            let name = self.name(read_u32(&self.data, at)?)?;
            let value = read_u32(&self.data, at + 4)?;
            Some((String::from_utf8_lossy(name).into_owned(), value))
        };
        (0..found.members).filter_map(enumerator).collect()
    }

    fn type_by_id(&self, id: u32) -> Option<super::Type> {
        self.type_at(*self.types.get(id as usize)? as usize)
    }
}
