//! The pod that the call before was about, as far as it was read: the one value that outlives a call and is made of
//! what the host answered.

use crate::Pod;

#[cfg(target_family = "wasm")]
static POD: crate::host::wasm::Global<Option<Pod>> = crate::host::wasm::Global::new(None);

#[cfg(not(target_family = "wasm"))]
std::thread_local! {
    static POD: core::cell::RefCell<Option<Pod>> = const { core::cell::RefCell::new(None) };
}

/// Takes the pod that the call before was about.
pub(crate) fn take_pod() -> Option<Pod> {
    with(Option::take)
}

/// Keeps the pod of this call, for one about the same pod.
pub(crate) fn keep_pod(pod: Pod) {
    with(|kept| *kept = Some(pod));
}

#[cfg(target_family = "wasm")]
fn with<R>(change: impl FnOnce(&mut Option<Pod>) -> R) -> R {
    POD.with(change)
}

#[cfg(not(target_family = "wasm"))]
fn with<R>(change: impl FnOnce(&mut Option<Pod>) -> R) -> R {
    POD.with_borrow_mut(change)
}
