//! What a plugin remembers during one scheduling cycle.

use alloc::string::{String, ToString};
use core::cell::RefCell;

use crate::{Pod, host};

/// Something that is computed once for a pod and used for all its nodes.
///
/// It belongs to one scheduling cycle of one pod: [`export!`](crate::export) sees to it that a module which
/// is not `pure` is told when a cycle begins, and what was kept for another cycle or another pod is gone.
/// A plugin that keeps anything cannot be `pure`, and does not compile if it says so.
///
/// ```
/// use kube_scheduler_guest::{CycleState, Filter, Node, Pod, Status, export};
///
/// #[derive(Default)]
/// struct SameTeam {
///     team: CycleState<Option<String>>,
/// }
///
/// impl Filter for SameTeam {
///     fn filter(&self, pod: &Pod, node: &Node) -> Status {
///         let team = || pod.labels().get("team").map(String::from);
///         let same = self.team.with(pod, team, |team| team.as_deref() == node.labels().get("team"));
///         if same { Status::success() } else { Status::unschedulable("node(s) belonged to another team") }
///     }
/// }
///
/// export!(SameTeam: Filter);
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct CycleState<T> {
    kept: RefCell<Option<Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    cycle: u64,
    uid: String,
    value: T,
}

impl<T> Default for CycleState<T> {
    fn default() -> Self {
        Self { kept: RefCell::new(None) }
    }
}

impl<T> CycleState<T> {
    /// Uses what is kept for this cycle of this pod, after making it if it is not there yet.
    ///
    /// `make` and `use_it` must not come back to the same state; the value is then made anew each time.
    pub fn with<R>(&self, pod: &Pod, make: impl FnOnce() -> T, use_it: impl FnOnce(&mut T) -> R) -> R {
        // Taken out while it is used, so that coming back here finds nothing instead of a locked cell.
        let kept = self.kept.take().filter(|kept| kept.cycle == host::cycle() && kept.uid == pod.uid());
        let mut kept = kept.unwrap_or_else(|| Kept { cycle: host::cycle(), uid: pod.uid().to_string(), value: make() });
        let result = use_it(&mut kept.value);
        self.kept.replace(Some(kept));
        result
    }
}
