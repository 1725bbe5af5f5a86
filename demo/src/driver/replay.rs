//! The replay itself: each pod at its time, until every one had its turn.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::Client;
use weir_local::Scheduler;

use super::completion::{Completion, PATIENCE, Verdict};
use super::owners::Owners;
use super::scope::{AT_A_TIME, Scope};
use super::shared::SharedRun;
use super::steps::Steps;
use super::watch::Watch;
use crate::metrics::SchedulerFigures;
use crate::run_state::{Event, RunState};
use crate::scenario::objects;
use crate::scenario::timeline::Arrival;

/// How often the scheduler is asked for its metrics.
const METRICS_EVERY: Duration = Duration::from_millis(500);
/// How long the sidecar may take, when all is over, to say on the last pods what it did.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What a trace is replayed with.
pub(super) struct Replay<'a> {
    pub(super) client: &'a Client,
    pub(super) scheduler: &'a Scheduler,
    pub(super) watch: &'a Watch,
    pub(super) owners: &'a Owners,
    pub(super) shared: &'a SharedRun,
}

impl Replay<'_> {
    /// Plays the trace and, if the scope has one, the story.
    pub(super) async fn play(&self, arrivals: &[Arrival], scope: Scope) -> Result<()> {
        // The run cannot be over before the last pod has come, so figures and arrivals go on side by side.
        tokio::try_join!(self.arrive(arrivals), self.until_decided(arrivals.len()))?;
        if scope != Scope::TraceOnly {
            self.note("every pod of the trace had its turn; now the story".to_owned());
            let Self { client, watch, owners, shared, .. } = *self;
            let steps = Steps { client, watch, owners, shared, scope };
            tokio::select! {
                played = steps.play() => played?,
                ended = self.keep_telling_figures() => ended?,
            }
        }
        self.judge_the_rest().await;
        Ok(())
    }

    /// Creates each pod at its time.
    async fn arrive(&self, arrivals: &[Arrival]) -> Result<()> {
        if let Some(late) = arrivals.iter().find_map(held_up) {
            self.note(late);
        }
        let began = tokio::time::Instant::now();
        let mut creations = FuturesUnordered::new();
        for arrival in arrivals {
            let due = tokio::time::sleep_until(began + arrival.at);
            let mut due = std::pin::pin!(due);
            // Creations go on while the next pod is waited for, and the next pod waits while too many are under way.
            loop {
                tokio::select! {
                    () = &mut due, if creations.len() < AT_A_TIME => break,
                    Some(created) = creations.next() => created?,
                }
            }
            creations.push(self.owners.create(self.client, objects::pod(arrival)));
        }
        while let Some(created) = creations.next().await {
            created?;
        }
        self.note("all pods have come; a queue drains as those that run end".to_owned());
        Ok(())
    }

    /// Returns when the trace had its turn, as [`Completion`] decides. Tells the plugins' figures on the way.
    async fn until_decided(&self, pods: usize) -> Result<()> {
        let mut tick = tokio::time::interval(METRICS_EVERY);
        let (mut completion, began) = (Completion::new(pods), Instant::now());
        loop {
            tick.tick().await;
            let to_be_tried = self.tell_figures().await?;
            let counts = self.shared.look(RunState::counts);
            match completion.verdict(began.elapsed(), counts, to_be_tried) {
                Verdict::GoOn => {}
                Verdict::Over => return Ok(()),
                Verdict::Stuck => bail!(
                    "{} pods wait, some of them without a word, and nothing happened for {} s; the end of the \
                     scheduler's log:\n{}",
                    counts.waiting,
                    PATIENCE.as_secs(),
                    self.scheduler.process().log_tail()
                ),
            }
        }
    }

    /// Tells the plugins' figures for ever. Ends with an error only.
    async fn keep_telling_figures(&self) -> Result<()> {
        let mut tick = tokio::time::interval(METRICS_EVERY);
        loop {
            tick.tick().await;
            self.tell_figures().await?;
        }
    }

    /// Tells what the plugins did so far, and says how many pods the scheduler will try by itself.
    pub(super) async fn tell_figures(&self) -> Result<u64> {
        let figures = SchedulerFigures::read(&self.scheduler.metrics().await?);
        figures.plugins.into_iter().for_each(|plugin| self.shared.tell(Event::Plugin(plugin)));
        Ok(figures.to_be_tried)
    }

    /// Judges what could not be judged before. What the sidecar has yet to say on pods that are admitted or evicted by
    /// now is waited for; what happens meanwhile is not judged, or a busy cluster would never come to its end.
    async fn judge_the_rest(&self) {
        let mut heard = self.watch.heard();
        let mut open = self.watch.settled();
        let mended = async {
            while !open.is_empty() && heard.changed().await.is_ok() {
                let still = self.watch.settled();
                open.retain(|one| still.iter().any(|other| (other.invariant, &other.pod) == (one.invariant, &one.pod)));
            }
        };
        // What stands after that time stands.
        let _ = tokio::time::timeout(LAST_WORDS, mended).await;
        open.into_iter().for_each(|violation| self.shared.tell(Event::Violated(violation)));
    }

    fn note(&self, text: String) {
        self.shared.tell(Event::Note(text));
    }
}

/// The note that a gang has to wait for its last pod.
fn held_up(arrival: &Arrival) -> Option<String> {
    let gang = arrival.member.gang.as_ref().filter(|gang| gang.held_up)?;
    Some(format!("the last of {} pods of gang {} comes late", gang.size, gang.name))
}
