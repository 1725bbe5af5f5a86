//! The requests of a term: sent here, answered here. Whatever decides returns them as values.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use weir_api::condition::Preempted;

use super::conditions::{ConditionWrite, EventQueue, QueuedEvent, Write};
use super::context::LeaderContext;
use super::eviction::Act;
use super::eviction::backoff::OwnerEvent;
use super::gates::GateRemoval;
use super::status::{StatusWrite, Warning};
use crate::client::{self, LabelWrite, Outcome, Target};
use crate::convert::condition::{Change, ConditionUpdate};

/// A write that the leader asks for.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// The removal of a gate.
    Gate(GateRemoval),
    /// A condition of a pod, or an event about one.
    Condition(Write),
    /// A step of an eviction.
    Eviction(EvictionRequest),
    /// The status of a pool, or the object of a gang.
    Status(StatusWrite),
    /// A label of a pod.
    Label(LabelWrite),
    /// An event on an owner whose pods were not placed in time.
    Owner(OwnerEvent),
}

/// A step of an eviction, with what is written.
#[derive(Clone, Debug)]
pub(super) struct EvictionRequest {
    /// The step.
    pub(super) act: Act,
    /// The pod.
    pub(super) target: Target,
    /// The reason that has to stand on the pod before it is evicted.
    pub(super) reason: ConditionUpdate,
}

impl From<GateRemoval> for Request {
    fn from(removal: GateRemoval) -> Self {
        Self::Gate(removal)
    }
}

impl From<Write> for Request {
    fn from(write: Write) -> Self {
        Self::Condition(write)
    }
}

impl From<EvictionRequest> for Request {
    fn from(request: EvictionRequest) -> Self {
        Self::Eviction(request)
    }
}

impl From<StatusWrite> for Request {
    fn from(write: StatusWrite) -> Self {
        Self::Status(write)
    }
}

impl From<LabelWrite> for Request {
    fn from(write: LabelWrite) -> Self {
        Self::Label(write)
    }
}

impl From<OwnerEvent> for Request {
    fn from(event: OwnerEvent) -> Self {
        Self::Owner(event)
    }
}

/// A request that came back.
#[derive(Debug)]
pub(super) struct WriteResult {
    /// The request.
    pub(super) request: Request,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// Sends requests, and receives what came of them.
pub(super) struct Requests {
    sender: Sender,
    results: mpsc::UnboundedReceiver<WriteResult>,
}

/// What a task needs to send one request.
#[derive(Clone)]
struct Sender {
    client: kube::Client,
    /// Without retries, for evictions.
    evictor: kube::Client,
    /// How many gates and evictions may be sent at once.
    writers: Arc<Semaphore>,
    events: EventQueue,
    results: mpsc::UnboundedSender<WriteResult>,
}

impl Requests {
    /// Nothing is sent yet.
    pub(super) fn new(context: &LeaderContext) -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        let sender = Sender {
            client: context.client.clone(),
            evictor: context.evictor.clone(),
            writers: Arc::clone(&context.writers),
            events: context.event_queue.clone(),
            results: sender,
        };
        Self { sender, results }
    }

    /// Sends a request. It waits for a writer where its kind needs one.
    pub(super) fn send(&self, request: impl Into<Request>) {
        let request = request.into();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let outcome = sender.perform(&request).await;
            // After the term nothing receives the result; the next term reads what became true.
            let _ = sender.results.send(WriteResult { request, outcome });
        });
    }

    /// The next request that came back.
    pub(super) async fn next(&mut self) -> Option<WriteResult> {
        self.results.recv().await
    }
}

impl Sender {
    async fn perform(&self, request: &Request) -> Outcome {
        match request {
            Request::Gate(GateRemoval { pod: _, round: _, target, grounds, decision }) => {
                let _permit = self.writers.acquire().await;
                client::remove_gate(&self.client, target.clone(), grounds, decision).await
            }
            Request::Condition(Write::Condition(write)) => self.condition(write).await,
            Request::Condition(Write::Event(QueuedEvent { target, update, at })) => {
                client::write_event_for(&self.client, target, update, *at).await
            }
            Request::Eviction(request) => {
                let _permit = self.writers.acquire().await;
                self.eviction(request).await
            }
            Request::Status(write) => self.status(write).await,
            Request::Label(write) => client::write_label(&self.client, write).await,
            Request::Owner(OwnerEvent { target, message }) => {
                let Some(owner) = client::top_owner(&self.client, target).await else { return Outcome::Done };
                client::warn(&self.client, &owner, Preempted::PlacementTimeout.as_str(), message).await
            }
        }
    }

    async fn condition(&self, write: &ConditionWrite) -> Outcome {
        let ConditionWrite { pod: _, target, update, change } = write;
        let outcome = client::write_condition(&self.client, target, update, *change).await;
        // Queued here and not by the term, which may have ended and receives its results no more.
        if outcome == Outcome::Done && *change != Change::Message {
            let (target, update) = (target.clone(), update.clone());
            self.events.push(QueuedEvent { target, update, at: Timestamp::now() });
        }
        outcome
    }

    async fn eviction(&self, request: &EvictionRequest) -> Outcome {
        let EvictionRequest { act, target, reason } = request;
        match act {
            Act::WriteCondition(_) => {
                client::write_condition_and_event(&self.client, target, reason, Change::Transition).await
            }
            Act::Evict(_) => client::evict(&self.evictor, target).await,
        }
    }

    async fn status(&self, write: &StatusWrite) -> Outcome {
        match write {
            StatusWrite::Pool { name, status } => client::write_pool_status(&self.client, name, status).await,
            StatusWrite::Finalizers(write) => client::write_finalizers(&self.client, write).await,
            StatusWrite::Warning(Warning { about, reason, message }) => {
                client::warn(&self.client, about, reason, message).await
            }
            StatusWrite::Gang(write) => client::write_gang(&self.client, write).await,
        }
    }
}
