//! Write a kube-scheduler plugin in Rust and run it in an unchanged kube-scheduler, as a WebAssembly module
//! in [kube-scheduler-wasm-extension](https://github.com/kubernetes-sigs/kube-scheduler-wasm-extension).
//!
//! A whole plugin (`examples/smallest.rs`):
//!
//! ```
//! # #![no_std]
//! use kube_scheduler_guest::{Filter, Node, Pod, Status, export};
//!
//! #[derive(Default)]
//! struct SameZone;
//!
//! impl Filter for SameZone {
//!     fn filter(&self, pod: &Pod, node: &Node) -> Status {
//!         match pod.labels().get("zone") == node.labels().get("zone") {
//!             true => Status::success(),
//!             false => Status::unresolvable("node(s) were in another zone"),
//!         }
//!     }
//! }
//! export!(pure SameZone: Filter);
//! # fn main() {}
//! ```
//!
//! And one with settings (`examples/settings.rs`):
//!
//! ```
//! # #![no_std]
//! # extern crate alloc;
//! # use alloc::string::String;
//! use kube_scheduler_guest::{Node, Plugin, Pod, Score, Status, export};
//! use serde::Deserialize;
//!
//! struct Prefer {
//!     label: String,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     label: String,
//! }
//!
//! impl Plugin for Prefer {
//!     type Settings = Settings;
//!     fn new(settings: Settings) -> anyhow::Result<Self> {
//!         anyhow::ensure!(!settings.label.is_empty(), "label: name a node label");
//!         Ok(Self { label: settings.label })
//!     }
//! }
//!
//! impl Score for Prefer {
//!     fn score(&self, _: &Pod, node: &Node) -> Result<i32, Status> {
//!         Ok(if node.labels().get(&self.label).is_some() { 100 } else { 0 })
//!     }
//! }
//! export!(pure Prefer: Score);
//! # fn main() {}
//! ```
//!
//! - [`export!`] makes the module; the author writes no ABI, no `unsafe`, no `extern`.
//! - [`Pod`] and [`Node`] are lazy: the host is asked when the plugin is, and nothing is decoded that is not
//!   looked at.
//! - [`Plugin`] gives it typed settings, and a mistake in them stops the scheduler's start with the name of
//!   the field.
//! - [`testing`] runs a plugin natively, in `cargo test`, against a fake host.
//! - Nothing that the host answers makes a plugin panic: what makes no sense becomes an error [`Status`].
//!
//! The crate is `no_std` with `alloc`; on WebAssembly it brings its own allocator and panic handler, so a
//! plugin must be `#![no_std]` too. What goes over the border, byte by byte, is in `ABI.md`; why things are
//! as they are, in `RATIONALE.md`.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

extern crate alloc;
#[cfg(not(target_family = "wasm"))]
extern crate std;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod abi;
pub mod binding;
mod cycle;
mod event;
mod export;
pub mod handle;
mod host;
mod kept;
pub mod klog;
mod plugin;
#[cfg(target_family = "wasm")]
mod rt;
mod run;
pub mod settings;
mod status;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod tree;
mod view;

pub use binding::{Bind, Permission, Permit, PostBind, PreBind, Reserve};
pub use cycle::CycleState;
pub use event::{ActionType, ClusterEvent, Resource};
pub use plugin::{
    EnqueueExtensions, Filter, NodeStatuses, Nomination, Plugin, PostFilter, PreFilter, PreFilterExtensions,
    PreFilterResult, PreScore, Score,
};
pub use settings::NoSettings;
pub use status::{Code, Status};
pub use view::{
    Container, ContainerImage, Node, NodeCondition, Pod, PodTerm, Preference, Quantities, Requirement, Taint, Term,
    Texts, Toleration,
};
