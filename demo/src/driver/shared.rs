//! The run's one state, shared by the watch that feeds it and the views that read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::At;
use crate::cluster_state::ClusterState;
use crate::run_state::{Event, RunState};

/// The state of a run; cloning shares it. It is told by the driver and the watch, asked by the driver's steps, and
/// drawn by the display: nothing else holds a model of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct SharedRun {
    state: Arc<Mutex<RunState>>,
    began: Instant,
}

impl SharedRun {
    /// A run that begins now.
    pub(crate) fn begin() -> Self {
        Self { state: Arc::default(), began: Instant::now() }
    }

    /// Tells what happened now.
    pub(crate) fn tell(&self, event: Event) {
        let at = self.time();
        self.lock().tell(at, event);
    }

    /// Lets the time pass that has passed, and looks.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&RunState) -> T) -> T {
        let at = self.time();
        let mut state = self.lock();
        state.advance(at);
        look(&state)
    }

    /// Asks about the cluster.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&ClusterState) -> T) -> T {
        ask(self.lock().cluster())
    }

    fn time(&self) -> At {
        self.began.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        // A panic elsewhere ends the run; what was told until then is still shown.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
