//! The requests of a term: sent here, answered here. Whatever decides returns them as values.
//!
//! A removal of a gate and an eviction belong to the term that sends them and end with it. They look at the fence once
//! more when they have their permit, right before they are sent: a replica that was stopped meanwhile does not act on
//! what it knew before. What only says something, a condition or a status, is finished whatever becomes of the term; a
//! condition whose event was lost would be told to nobody. Each kind waits for permits of its own, so that none waits
//! behind another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use weir_api::condition::Preempted;

use super::conditions::{ConditionWrite, EventQueue, QueuedEvent, Write};
use super::context::LeaderContext;
use super::eviction::Act;
use super::eviction::backoff::OwnerEvent;
use super::gates::GateRemoval;
use super::round_record::FENCE;
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

/// For how long a written record lets gates be removed. What is recorded is finished by every leader, so this may be
/// longer than for evictions, which the next leader may take back.
const GATES: Duration = Duration::from_secs(5);

/// How many evictions, and how many statuses, labels and events, are sent at once.
const EVICTIONS: usize = 16;
const OTHERS: usize = 4;

/// Sends requests, and receives what came of them. Dropping it ends removals of gates and evictions.
pub(super) struct Requests {
    sender: Sender,
    /// Removals of gates, and evictions.
    fenced: JoinSet<WriteResult>,
    others: JoinSet<WriteResult>,
    fence: watch::Sender<Option<Instant>>,
}

/// What a task needs to send one request.
#[derive(Clone)]
struct Sender {
    client: kube::Client,
    /// Without retries, for evictions.
    evictor: kube::Client,
    gates: Arc<Semaphore>,
    evictions: Arc<Semaphore>,
    others: Arc<Semaphore>,
    /// When the record was last written.
    fence: watch::Receiver<Option<Instant>>,
    events: EventQueue,
}

impl Requests {
    /// Nothing is sent yet.
    pub(super) fn new(context: &LeaderContext) -> Self {
        let (fence, reader) = watch::channel(None);
        let sender = Sender {
            client: context.client.clone(),
            evictor: context.evictor.clone(),
            gates: Arc::new(Semaphore::new(context.config.cycle.writers)),
            evictions: Arc::new(Semaphore::new(EVICTIONS)),
            others: Arc::new(Semaphore::new(OTHERS)),
            fence: reader,
            events: context.event_queue.clone(),
        };
        Self { sender, fenced: JoinSet::new(), others: JoinSet::new(), fence }
    }

    /// Notes when the record was last written.
    pub(super) fn renew_fence(&self, renewed: Option<Instant>) {
        self.fence.send_replace(renewed);
    }

    /// Sends a request. It waits for a permit where its kind needs one.
    pub(super) fn send(&mut self, request: impl Into<Request>) {
        let request = request.into();
        let sender = self.sender.clone();
        let tasks = match request {
            Request::Gate(_) | Request::Eviction(EvictionRequest { act: Act::Evict(_), .. }) => &mut self.fenced,
            _ => &mut self.others,
        };
        tasks.spawn(async move {
            let outcome = sender.perform(&request).await;
            WriteResult { request, outcome }
        });
    }

    /// The next request that came back; none while none is in flight.
    pub(super) async fn next(&mut self) -> Option<WriteResult> {
        let joined = tokio::select! {
            Some(joined) = self.fenced.join_next() => joined,
            Some(joined) = self.others.join_next() => joined,
            else => return None,
        };
        match joined {
            Ok(result) => Some(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.others.detach_all();
    }
}

impl Sender {
    async fn perform(&self, request: &Request) -> Outcome {
        match request {
            Request::Gate(GateRemoval { target, grounds, decision, .. }) => {
                let _permit = self.gates.acquire().await;
                match self.is_fenced(GATES) {
                    true => client::remove_gate(&self.client, target, grounds, decision).await,
                    false => Outcome::NotSent,
                }
            }
            Request::Condition(Write::Condition(write)) => self.condition(write).await,
            Request::Condition(Write::Event(QueuedEvent { target, update, at })) => {
                client::write_event_for(&self.client, target, update, *at).await
            }
            Request::Eviction(request) => {
                let _permit = self.evictions.acquire().await;
                self.eviction(request).await
            }
            Request::Status(write) => {
                let _permit = self.others.acquire().await;
                self.status(write).await
            }
            Request::Label(write) => {
                let _permit = self.others.acquire().await;
                client::write_label(&self.client, write).await
            }
            Request::Owner(OwnerEvent { target, message }) => {
                let _permit = self.others.acquire().await;
                let Some(owner) = client::top_owner(&self.client, target).await else { return Outcome::Done };
                client::warn(&self.client, &owner, Preempted::PlacementTimeout.as_str(), message).await
            }
        }
    }

    /// Whether the record was written no longer ago than this.
    fn is_fenced(&self, window: Duration) -> bool {
        self.fence.borrow().is_some_and(|renewed| renewed.elapsed() < window)
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
            Act::Evict(_) if !self.is_fenced(FENCE) => Outcome::NotSent,
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
