//! In a build without libvirt.

use super::{Card, DefinitionError};
use crate::enforce::plan::Definition;

/// Nothing can be one.
pub enum Definitions {}

impl Definitions {
    /// Fails.
    pub fn open(_uri: Option<String>) -> Result<Self, DefinitionError> {
        let why = "this build of offwatch has no libvirt, which definitions of VMs belong to";
        Err(DefinitionError::Connect(why.into()))
    }

    /// See the build with libvirt.
    pub fn uri(&self) -> &str {
        match *self {}
    }

    /// See the build with libvirt.
    pub fn cards(&self, _plan: &Definition) -> Result<Vec<Card>, DefinitionError> {
        match *self {}
    }

    /// See the build with libvirt.
    pub fn change(&self, _card: &Card) -> Result<(), DefinitionError> {
        match *self {}
    }
}
