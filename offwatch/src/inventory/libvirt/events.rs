//! Events by libvirt's C API: the bindings have no safe one.

use std::ffi::c_void;
use std::sync::Arc;

use virt::connect::Connect;
use virt::error::Error;
use virt::sys;

use super::bulk::Uuid;
use super::shared::Shared;

/// Registers for all that may change the list or the XML of a domain.
/// Drivers without events are served by [`super::cache::OLD_XML`].
pub(super) fn register(connect: &Connect, shared: &Arc<Shared>) -> Vec<libc::c_int> {
    // SAFETY: the two types differ only in the arguments after `dom`, and
    // libvirt calls each callback with the arguments of its event, cast
    // back from the generic type.
    let lifecycle = unsafe {
        std::mem::transmute::<
            unsafe extern "C" fn(
                sys::virConnectPtr,
                sys::virDomainPtr,
                libc::c_int,
                libc::c_int,
                *mut c_void,
            ) -> libc::c_int,
            unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void),
        >(on_lifecycle)
    };
    // SAFETY: as above.
    let device = unsafe {
        std::mem::transmute::<
            unsafe extern "C" fn(
                sys::virConnectPtr,
                sys::virDomainPtr,
                *const libc::c_char,
                *mut c_void,
            ),
            unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void),
        >(on_device)
    };
    let mut callbacks = Vec::new();
    for (event, callback) in [
        (sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
        (sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, device),
        (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, device),
    ] {
        let opaque = Arc::into_raw(Arc::clone(shared));
        // SAFETY: the connection is open, the callback has the type of its
        // event, and `opaque` is a reference of its own, which `release`
        // gives up once libvirt has forgotten the callback.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                std::ptr::null_mut(),
                event as libc::c_int,
                Some(callback),
                opaque.cast_mut().cast(),
                Some(release),
            )
        };
        if id >= 0 {
            callbacks.push(id);
        } else {
            // SAFETY: a failed registration keeps no reference.
            drop(unsafe { Arc::from_raw(opaque) });
            log::debug!("libvirt: no event {event}: {}", Error::last_error());
        }
    }
    callbacks
}

pub(super) fn deregister(connect: &Connect, callbacks: &[libc::c_int]) {
    for &id in callbacks {
        // SAFETY: the connection is still open and the id is one of its own.
        unsafe { sys::virConnectDomainEventDeregisterAny(connect.as_ptr(), id) };
    }
}

unsafe extern "C" fn on_lifecycle(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _event: libc::c_int,
    _detail: libc::c_int,
    opaque: *mut c_void,
) -> libc::c_int {
    // SAFETY: libvirt passes the domain of the event and our `opaque`.
    unsafe { changed(domain, opaque) };
    0
}

unsafe extern "C" fn on_device(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _alias: *const libc::c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the domain of the event and our `opaque`.
    unsafe { changed(domain, opaque) };
}

/// Asks the thread to list again and to read the XML of one domain.
///
/// # Safety
///
/// `domain` must be a valid domain and `opaque` what [`register`] passed.
unsafe fn changed(domain: sys::virDomainPtr, opaque: *mut c_void) {
    // SAFETY: `opaque` is the reference that `register` gave to libvirt,
    // which gives it up only after the last callback.
    let shared = unsafe { &*opaque.cast_const().cast::<Shared>() };
    let mut uuid = Uuid::default();
    // SAFETY: the buffer has the size that libvirt asks for.
    let result = unsafe { sys::virDomainGetUUID(domain, uuid.as_mut_ptr()) };
    let mut inner = shared.lock();
    if result == 0 {
        inner.request.xml.insert(uuid);
    }
    inner.request.list = true;
    drop(inner);
    shared.requested.notify_one();
}

unsafe extern "C" fn release(opaque: *mut c_void) {
    // SAFETY: the reference that `register` gave to libvirt; called once.
    drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<Shared>()) });
}
