//! Statistics of all domains in one call, by libvirt's C API: the bindings'
//! own call leaks its answer and knows no typed parameters.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::sys;

/// What virt-top shows, and the state.
pub(super) const ALL_GROUPS: sys::virDomainStatsTypes = sys::VIR_DOMAIN_STATS_STATE
    | sys::VIR_DOMAIN_STATS_CPU_TOTAL
    | sys::VIR_DOMAIN_STATS_BALLOON
    | sys::VIR_DOMAIN_STATS_VCPU
    | sys::VIR_DOMAIN_STATS_INTERFACE
    | sys::VIR_DOMAIN_STATS_BLOCK;
/// The state alone, which libvirt knows without asking QEMU.
pub(super) const STATE_GROUP: sys::virDomainStatsTypes = sys::VIR_DOMAIN_STATS_STATE;

/// The value of a parameter; types that no statistics of interest have are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number that is not negative.
    Number(u64),
    /// A text.
    Text(&'a CStr),
}

/// A UUID as libvirt has it.
pub(super) type Uuid = [u8; sys::VIR_UUID_BUFLEN as usize];

/// The answer: one record for each domain. Freed when dropped.
pub(super) struct Records {
    list: *mut sys::virDomainStatsRecordPtr,
    count: usize,
}

/// Asks for the statistics of all domains, active and inactive. Groups that a
/// driver does not have are left out by it.
pub(super) fn all(
    connect: &Connect,
    groups: sys::virDomainStatsTypes,
    no_wait: bool,
) -> Result<Records, VirtError> {
    let flags = match no_wait {
        true => sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
        false => 0,
    };
    let mut list = ptr::null_mut();
    // SAFETY: the connection is open; libvirt stores a list that is freed by
    // `Records`, or nothing if it fails.
    let count =
        unsafe { sys::virConnectGetAllDomainStats(connect.as_ptr(), groups, &raw mut list, flags) };
    match usize::try_from(count) {
        Ok(count) => Ok(Records { list, count }),
        Err(_) => Err(VirtError::last_error()),
    }
}

impl Records {
    /// The records, in libvirt's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let pointers = match self.list.is_null() {
            true => &[],
            // SAFETY: libvirt's list has so many pointers, none of them null.
            false => unsafe { std::slice::from_raw_parts(self.list, self.count) },
        };
        pointers.iter().map(|&record| Record {
            record,
            _list: PhantomData,
        })
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // SAFETY: the list is libvirt's, or null, and is not used any more.
        unsafe { sys::virDomainStatsRecordListFree(self.list) };
    }
}

/// What is told of one domain.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    record: sys::virDomainStatsRecordPtr,
    _list: PhantomData<&'a Records>,
}

impl<'a> Record<'a> {
    /// Its name.
    pub(super) fn name(self) -> Option<&'a CStr> {
        // SAFETY: the domain lives as long as the list, and its name as long
        // as the domain.
        unsafe {
            let name = sys::virDomainGetName((*self.record).dom);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        }
    }

    /// Its UUID.
    pub(super) fn uuid(self) -> Option<Uuid> {
        let mut uuid = Uuid::default();
        // SAFETY: the domain lives as long as the list, and the buffer has the
        // size that libvirt asks for.
        let result = unsafe { sys::virDomainGetUUID((*self.record).dom, uuid.as_mut_ptr()) };
        (result == 0).then_some(uuid)
    }

    /// Its id while it is active.
    pub(super) fn id(self) -> Option<u32> {
        // SAFETY: the domain lives as long as the list.
        let id = unsafe { sys::virDomainGetID((*self.record).dom) };
        (id != u32::MAX).then_some(id)
    }

    /// The domain, to ask more about.
    pub(super) fn domain(self) -> Result<Domain, VirtError> {
        // SAFETY: the domain lives as long as the list; the reference that is
        // taken here is given up by `Domain`.
        unsafe {
            if sys::virDomainRef((*self.record).dom) < 0 {
                return Err(VirtError::last_error());
            }
            Ok(Domain::from_ptr((*self.record).dom))
        }
    }

    /// Names and values of its statistics.
    pub(super) fn parameters(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        // SAFETY: the record lives as long as the list and has so many parameters.
        let parameters = unsafe {
            let record = &*self.record;
            match usize::try_from(record.nparams) {
                Ok(count) if !record.params.is_null() => {
                    std::slice::from_raw_parts(record.params, count)
                }
                _ => &[],
            }
        };
        parameters.iter().filter_map(|parameter| {
            // SAFETY: the value is of the type that is told beside it.
            let value = unsafe { value(parameter) }?;
            Some((field(parameter), value))
        })
    }
}

/// Name of a parameter.
pub(super) fn field(parameter: &sys::virTypedParameter) -> &[u8] {
    // SAFETY: bytes may be looked at as unsigned.
    let field: &[u8] = unsafe {
        std::slice::from_raw_parts(parameter.field.as_ptr().cast(), parameter.field.len())
    };
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// The value of a parameter.
///
/// # Safety
///
/// The parameter must be one that libvirt filled in, and a text must live as
/// long as the parameter.
pub(super) unsafe fn value(parameter: &sys::virTypedParameter) -> Option<Value<'_>> {
    let value = &parameter.value;
    // SAFETY: the type tells which member is set.
    unsafe {
        Some(match parameter.type_.cast_unsigned() {
            sys::VIR_TYPED_PARAM_INT => Value::Number(u64::try_from(value.i).ok()?),
            sys::VIR_TYPED_PARAM_UINT => Value::Number(value.ui.into()),
            sys::VIR_TYPED_PARAM_LLONG => Value::Number(u64::try_from(value.l).ok()?),
            sys::VIR_TYPED_PARAM_ULLONG => Value::Number(value.ul),
            sys::VIR_TYPED_PARAM_STRING if !value.s.is_null() => {
                Value::Text(CStr::from_ptr(value.s))
            }
            _ => return None,
        })
    }
}
