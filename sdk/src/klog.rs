//! The scheduler's log.
//!
//! Every line carries the pair `plugin="NAME"`, for the reader, and because the extension throws away errors
//! without any pair unless it is told to log nothing but errors (RATIONALE.md has the lines).
//! A verdict that the host remembers is not computed again, and so does not log again either.

pub(crate) mod severity;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

pub use self::severity::Severity;
use crate::host;

/// Writes a line that is good to know, with pairs of key and value behind it.
///
/// ```
/// # use kube_scheduler_guest::{testing::FakeHost, *};
/// # #[derive(Default)]
/// # struct Chatty;
/// # impl Filter for Chatty {
/// #     fn filter(&self, pod: &Pod, _: &Node) -> Status {
/// klog::info("looked at a pod", &[("pod", pod.name())]);
/// #         Status::success()
/// #     }
/// # }
/// # let mut host = FakeHost::new().pod(testing::pod("p"));
/// # host.filter(&Chatty, "n1");
/// # assert_eq!(host.log()[0].1, r#"looked at a pod plugin="test" pod="p""#);
/// ```
pub fn info(message: &str, pairs: &[(&str, &str)]) {
    log(Severity::Info, message, pairs);
}

/// Writes a line that calls for an administrator, with pairs of key and value behind it.
///
/// ```
/// # use kube_scheduler_guest::{klog::Severity, testing::FakeHost, *};
/// # #[derive(Default)]
/// # struct Worried;
/// # impl Filter for Worried {
/// #     fn filter(&self, _: &Pod, node: &Node) -> Status {
/// if klog::enabled(Severity::Error) {
///     klog::error("a node has no zone", &[("node", node.name())]);
/// }
/// #         Status::success()
/// #     }
/// # }
/// # let mut host = FakeHost::new().pod(testing::pod("p"));
/// # host.filter(&Worried, "n1");
/// # assert_eq!(host.log()[0], (Severity::Error, r#"a node has no zone plugin="test" node="n1""#.into()));
/// ```
pub fn error(message: &str, pairs: &[(&str, &str)]) {
    log(Severity::Error, message, pairs);
}

/// A line that is worth reading once and not a thousand times.
///
/// It stands in a static. That a line was logged does not change a verdict, so a plugin that has one may
/// still be `pure`.
///
/// ```
/// # use kube_scheduler_guest::{testing::{node, FakeHost}, *};
/// static BLIND: klog::Once = klog::Once::new("the host does not say what is requested on a node");
///
/// # #[derive(Default)]
/// # struct Half;
/// # impl Filter for Half {
/// #     fn filter(&self, _: &Pod, node: &Node) -> Status {
/// if node.requested("cpu").is_none() {
///     BLIND.info();
/// }
/// #         Status::success()
/// #     }
/// # }
/// # let mut host = FakeHost::new().node(node("n1"));
/// # host.filter(&Half, "n1");
/// # host.filter(&Half, "n1");
/// # assert_eq!(host.log().len(), 1);
/// ```
#[derive(Debug)]
pub struct Once {
    line: &'static str,
    said: AtomicBool,
}

impl Once {
    /// A line that has not been logged yet.
    #[must_use]
    pub const fn new(line: &'static str) -> Self {
        Self { line, said: AtomicBool::new(false) }
    }

    /// Logs the line, the first time.
    pub fn info(&self) {
        if !self.said.swap(true, Ordering::Relaxed) {
            info(self.line, &[]);
        }
    }
}

/// Whether the scheduler's configuration wants lines of this severity; ask before building a long one.
#[must_use]
pub fn enabled(severity: Severity) -> bool {
    severity as i32 >= host::log_severity()
}

fn log(severity: Severity, message: &str, pairs: &[(&str, &str)]) {
    if enabled(severity) {
        let mut all = Vec::with_capacity(pairs.len() + 1);
        all.push(("plugin", host::plugin_name()));
        all.extend_from_slice(pairs);
        host::log(severity, message, &all);
    }
}
