//! Loading the object for one hook, with the best way of reading memory that
//! the kernel lets programs have.

use aya::{Btf as LoaderBtf, Ebpf, EbpfLoader};
use offwatch_common::{Access, Constants, access};

use super::{
    ProbeError, attach,
    attach::TcLinks,
    exact,
    layout::{Cast, Layout},
    object,
};
use crate::sample::Hook;

/// The ring that records are written to.
pub(super) const LOG: &str = "AYA_LOGS";

/// What does not depend on how memory is read.
pub(super) struct Setup {
    pub(super) hook: Hook,
    pub(super) netns: u32,
    pub(super) layout: Layout,
    pub(super) exact: exact::Setup,
    pub(super) loader_btf: LoaderBtf,
    /// Whether every packet is logged.
    pub(super) log: bool,
}

/// Programs of one hook in the kernel.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    pub(super) tc: TcLinks,
    /// One of [`access`].
    pub(super) access: u32,
}

impl Setup {
    /// Loads and attaches. That the kernel has a function does not say that it
    /// may be called, and lockdown is known by what is refused: so each way of
    /// reading memory is tried, best first.
    pub(super) fn load(&self) -> Result<Loaded, ProbeError> {
        let cast = self.layout.cast.as_ref().map(|cast| self.with_cast(cast));
        let error = match cast {
            Some(Ok(loaded)) => return Ok(loaded),
            Some(Err(error)) if !error.is_refusal() => return Err(error),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let error = match self.with(None, method(access::PROBE)) {
            Err(probing) if probing.is_refusal() => error.unwrap_or(probing),
            other => return other,
        };
        // An skb without its type has no fields to load.
        if self.hook != Hook::Tp {
            return Err(error);
        }
        self.with(None, method(access::NONE)).map_err(|_| error)
    }

    fn with_cast(&self, cast: &Cast) -> Result<Loaded, ProbeError> {
        self.with(Some(cast.function), cast.access)
    }

    /// `cast` is the BTF type ID of the function that casts.
    fn with(&self, cast: Option<u32>, access: Access) -> Result<Loaded, ProbeError> {
        let log_level: u8 = if self.log {
            aya_log::Level::Debug as u8
        } else {
            0
        };
        let layout = &self.layout;
        let constants = Constants {
            offsets: layout.offsets,
            access,
            gso_bits: layout.gso_bits,
            drop_reasons: layout.drop_reasons,
            netns: self.netns,
            log: self.log.into(),
        };
        let object = object::made(&constants, cast);
        let validate_text = self.exact.validate_text();
        let mut loader = EbpfLoader::new();
        loader
            .btf(Some(&self.loader_btf))
            .override_global("DROP_CLASSES", self.exact.drop_classes().words(), true)
            .override_global("VALIDATE_TEXT", &validate_text, true)
            .map_max_entries("EXACT", self.exact.slots)
            .override_global(aya_log::LEVEL, &log_level, true);
        if !self.log {
            // Nothing is written to it: a page, the least there can be.
            loader.map_max_entries(LOG, 1);
        }
        let mut ebpf = loader
            .load(&object)
            .map_err(|source| ProbeError::load(self.hook, source))?;
        let tc = attach::attach(&mut ebpf, self.hook, &self.loader_btf)?;
        Ok(Loaded {
            ebpf,
            tc,
            access: access.method,
        })
    }
}

fn method(method: u32) -> Access {
    Access {
        method,
        ..Access::default()
    }
}
