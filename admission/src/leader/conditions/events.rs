//! Events that wait to be written, behind all conditions.
//!
//! They outlive a resync, as the conditions on pods do. A process that ends loses its events; the condition says the
//! same for as long as the pod exists.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::client::Target;
use crate::convert::condition::ConditionUpdate;

/// How many events may wait; beyond that, changes get no event.
const MOST: usize = 20_000;

/// An event about a condition that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) struct QueuedEvent {
    /// The pod.
    pub(in crate::leader) target: Target,
    /// The condition.
    pub(in crate::leader) update: ConditionUpdate,
    /// When it was written.
    pub(in crate::leader) at: Timestamp,
}

/// Events that wait to be written. Clones share one queue.
#[derive(Clone, Debug, Default)]
pub struct EventQueue(Arc<Mutex<VecDeque<QueuedEvent>>>);

impl EventQueue {
    /// Adds an event, unless too many wait.
    pub(in crate::leader) fn push(&self, event: QueuedEvent) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push_back(event);
        }
    }

    /// Takes the event that waits longest.
    pub(in crate::leader) fn pop(&self) -> Option<QueuedEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
