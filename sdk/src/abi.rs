//! The guest's side of the calls from the host. Only [`export!`](crate::export) uses this.

use alloc::string::String;
use core::cell::UnsafeCell;

use crate::host::wasm as host;
use crate::rt::write_stderr;
use crate::{
    Bind, Code, EnqueueExtensions, Filter, Nomination, Permission, Permit, Plugin, PostBind, PostFilter, PreBind,
    PreFilter, PreFilterExtensions, PreFilterResult, PreScore, Reserve, Score, Status, klog, run,
};

/// Holds the one plugin of a module.
pub struct Slot<P>(UnsafeCell<State<P>>);

enum State<P> {
    Unloaded,
    Loaded(P),
    Refused(String),
}

// SAFETY: without the threads proposal, which this target does not enable, an instance has one thread.
unsafe impl<P> Sync for Slot<P> {}

impl<P: Plugin> Slot<P> {
    /// A slot whose plugin is made when it is first needed.
    #[expect(clippy::new_without_default, reason = "it stands in a static, which needs a const fn")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(State::Unloaded))
    }

    /// `_start`: makes the plugin. If it refuses its settings the module traps, so that the host does not
    /// load it, with the reason on standard error, which the extension puts into its error.
    pub fn start(&self, name: &'static str) {
        host::set_plugin_name(name);
        if let Err(error) = self.plugin() {
            klog::error("refused to load", &[("error", error)]);
            write_stderr(error);
            core::arch::wasm32::unreachable()
        }
    }

    /// `weir.settings_error`: where the plugin's complaint about its settings stands and how long it is,
    /// as `address << 32 | length`; 0 when it has none.
    pub fn settings_error(&self, name: &'static str) -> u64 {
        host::set_plugin_name(name);
        match self.plugin() {
            Ok(_) => 0,
            Err(error) => (error.as_ptr() as u64) << 32 | error.len() as u64,
        }
    }

    /// The plugin, made from the host's settings if that has not happened yet.
    fn plugin(&self) -> Result<&P, &str> {
        let state = self.0.get();
        // SAFETY: one thread; the state is written once, here, before the first reference to it is made.
        unsafe {
            if matches!(*state, State::Unloaded) {
                *state = match run::load() {
                    Ok(plugin) => State::Loaded(plugin),
                    Err(error) => State::Refused(error),
                };
            }
            match &*state {
                State::Loaded(plugin) => Ok(plugin),
                State::Refused(error) => Err(error),
                State::Unloaded => Err("the plugin is not loaded"),
            }
        }
    }

    fn verdict(&self, ask: impl FnOnce(&P) -> Status) -> Status {
        match self.plugin() {
            Ok(plugin) => ask(plugin),
            Err(error) => Status::error(String::from(error)),
        }
    }
}

impl<P: Plugin + Filter> Slot<P> {
    /// `filter`
    pub fn filter(&self) -> i32 {
        report(&self.verdict(run::filter))
    }
}

impl<P: Plugin + Score> Slot<P> {
    /// `score`: the score in the high half, the code in the low one.
    pub fn score(&self) -> i64 {
        let mut score = 0;
        let status = self.verdict(|plugin| match run::score(plugin) {
            Ok(answer) => {
                score = answer;
                Status::success()
            }
            Err(status) => status,
        });
        i64::from(score) << 32 | i64::from(report(&status))
    }
}

impl<P: Plugin + PreFilter> Slot<P> {
    /// `prefilter`
    pub fn pre_filter(&self) -> i32 {
        report(&self.verdict(|plugin| match run::pre_filter(plugin) {
            Ok(PreFilterResult::AllNodes) => Status::success(),
            Ok(PreFilterResult::Only(names)) => {
                host::node_names(&names);
                Status::success()
            }
            Err(status) => status,
        }))
    }
}

impl<P: Plugin + PreScore> Slot<P> {
    /// `prescore`
    pub fn pre_score(&self) -> i32 {
        report(&self.verdict(run::pre_score))
    }
}

impl<P: Plugin + PostFilter> Slot<P> {
    /// `postfilter`: what to do about the nominated node in the high half, the code in the low one.
    pub fn post_filter(&self) -> i64 {
        let mut mode = KEEP_NOMINATION;
        let status = self.verdict(|plugin| match run::post_filter(plugin) {
            Ok(nomination) => {
                if let Nomination::Node(node) = &nomination {
                    host::nominated_node_name(node);
                }
                if nomination != Nomination::Keep {
                    mode = OVERRIDE_NOMINATION;
                }
                Status::success()
            }
            Err(status) => status,
        });
        mode << 32 | i64::from(report(&status))
    }
}

/// kube-scheduler's `ModeNoop` and `ModeOverride`.
const KEEP_NOMINATION: i64 = 0;
const OVERRIDE_NOMINATION: i64 = 1;

impl<P: Plugin + PreFilterExtensions> Slot<P> {
    /// `addpod`
    pub fn add_pod(&self) -> i32 {
        report(&self.verdict(run::add_pod))
    }

    /// `removepod`
    pub fn remove_pod(&self) -> i32 {
        report(&self.verdict(run::remove_pod))
    }
}

impl<P: Plugin + Reserve> Slot<P> {
    /// `reserve`
    pub fn reserve(&self) -> i32 {
        report(&self.verdict(run::reserve))
    }

    /// `unreserve`
    pub fn unreserve(&self) {
        if let Ok(plugin) = self.plugin() {
            run::unreserve(plugin);
        }
    }
}

impl<P: Plugin + Permit> Slot<P> {
    /// `permit`: the code in the high half, and in the low one how many milliseconds to wait.
    pub fn permit(&self) -> i64 {
        let mut wait = 0;
        let status = self.verdict(|plugin| match run::permit(plugin) {
            Permission::Allow => Status::success(),
            Permission::Reject(status) => status,
            Permission::Wait(time) => {
                wait = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
                Status::new(Code::Wait, "")
            }
        });
        i64::from(report(&status)) << 32 | i64::from(wait)
    }
}

impl<P: Plugin + PreBind> Slot<P> {
    /// `prebind`
    pub fn pre_bind(&self) -> i32 {
        report(&self.verdict(run::pre_bind))
    }
}

impl<P: Plugin + Bind> Slot<P> {
    /// `bind`
    pub fn bind(&self) -> i32 {
        report(&self.verdict(run::bind))
    }
}

impl<P: Plugin + PostBind> Slot<P> {
    /// `postbind`
    pub fn post_bind(&self) {
        if let Ok(plugin) = self.plugin() {
            run::post_bind(plugin);
        }
    }
}

impl<P: Plugin + EnqueueExtensions> Slot<P> {
    /// `enqueue`: it has no way to report an error, and then reports no events.
    pub fn enqueue(&self) {
        if let Ok(plugin) = self.plugin() {
            host::cluster_events(&plugin.events_to_register());
        }
    }
}

/// `prefilter` of a plugin that has none of its own: a scheduling cycle begins.
pub fn begin_cycle() -> i32 {
    crate::host::begin_cycle();
    Code::Success as i32
}

/// Hands the reason to the host and the code to the caller.
fn report(status: &Status) -> i32 {
    if !status.reason().is_empty() {
        host::status_reason(status.reason());
    }
    status.code() as i32
}

/// The bytes of a text, to stand in a custom section.
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = text.as_bytes()[at];
        at += 1;
    }
    bytes
}
