//! The replay itself: each pod at its time, until every one had its turn.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use weir_local::Scheduler;

use super::owners::Owners;
use super::steps::Stage;
use super::watch::Watch;
use super::{AT_A_TIME, Run, Scope, Wires, say};
use crate::completion::{Completion, PATIENCE, Verdict};
use crate::metrics::SchedulerFigures;
use crate::objects;
use crate::run_state::Event;
use crate::timeline::Arrival;

/// How often the scheduler is asked for its metrics.
const METRICS_EVERY: Duration = Duration::from_millis(500);
/// How long the sidecar may take, when all is over, to say on the last pods what it did.
const LAST_WORDS: Duration = Duration::from_secs(60);

impl Run {
    pub(super) async fn replay(
        &self,
        client: &Client,
        scheduler: &Scheduler,
        watch: &Watch,
        owners: &Owners,
        wires: &Wires,
    ) -> Result<()> {
        // The end is nobody's to say before the last pod has come, so figures and arrivals go on side by side.
        let arrivals = &self.workload.timeline.arrivals;
        let (tell, pods) = (&wires.tell, arrivals.len());
        tokio::try_join!(arrive(client, arrivals, owners, tell), until_decided(pods, scheduler, wires))?;
        if self.scope != Scope::TraceOnly {
            say(tell, Event::Note("every pod of the trace had its turn; now the story".to_owned()));
            let stage = Stage { client, watch, owners, tell, scope: self.scope };
            tokio::select! {
                played = stage.play() => played?,
                ended = keep_telling_figures(scheduler, tell) => ended?,
            }
        }
        judge_the_rest(watch, &wires.tell).await;
        Ok(())
    }
}

/// Creates each pod at its time.
async fn arrive(client: &Client, arrivals: &[Arrival], owners: &Owners, tell: &UnboundedSender<Event>) -> Result<()> {
    if let Some(late) = arrivals.iter().find_map(held_up) {
        say(tell, Event::Note(late));
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
        creations.push(owners.create(client, objects::pod(arrival)));
    }
    while let Some(created) = creations.next().await {
        created?;
    }
    say(tell, Event::Note("all pods have come; a queue drains as those that run end".to_owned()));
    Ok(())
}

/// That a gang will have to wait for its last pod.
fn held_up(arrival: &Arrival) -> Option<String> {
    let band = arrival.member.gang.as_ref().filter(|band| band.held_up)?;
    Some(format!("the last of {} pods of gang {} comes late", band.size, band.name))
}

/// Returns when the run is over, as [`Completion`] decides. Tells the plugins' figures on the way.
async fn until_decided(pods: usize, scheduler: &Scheduler, wires: &Wires) -> Result<()> {
    let mut tick = tokio::time::interval(METRICS_EVERY);
    let (mut completion, began) = (Completion::new(pods), Instant::now());
    loop {
        tick.tick().await;
        let to_be_tried = tell_figures(scheduler, &wires.tell).await?;
        let counts = *wires.counts.borrow();
        match completion.verdict(began.elapsed(), counts, to_be_tried) {
            Verdict::GoOn => {}
            Verdict::Over => return Ok(()),
            Verdict::Stuck => bail!(
                "{} pods wait, some of them without a word, and nothing happened for {} s; the end of the scheduler's \
                 log:\n{}",
                counts.waiting,
                PATIENCE.as_secs(),
                scheduler.process().log_tail()
            ),
        }
    }
}

/// Tells the plugins' figures for ever. Ends with an error only.
async fn keep_telling_figures(scheduler: &Scheduler, tell: &UnboundedSender<Event>) -> Result<()> {
    let mut tick = tokio::time::interval(METRICS_EVERY);
    loop {
        tick.tick().await;
        tell_figures(scheduler, tell).await?;
    }
}

/// Tells what the plugins did so far, and says how many pods the scheduler will try by itself.
pub(super) async fn tell_figures(scheduler: &Scheduler, tell: &UnboundedSender<Event>) -> Result<u64> {
    let figures = SchedulerFigures::read(&scheduler.metrics().await?);
    figures.plugins.into_iter().for_each(|plugin| say(tell, Event::Plugin(plugin)));
    Ok(figures.to_be_tried)
}

/// Judges what could not be judged before. What the sidecar has yet to say on those who are admitted or evicted by
/// now is waited for; what happens meanwhile is nobody's to judge, or a busy cluster would never come to its end.
async fn judge_the_rest(watch: &Watch, tell: &UnboundedSender<Event>) {
    let mut heard = watch.heard();
    let mut open = watch.observer().await.settled();
    let mended = async {
        while !open.is_empty() && heard.changed().await.is_ok() {
            let still = watch.observer().await.settled();
            open.retain(|one| still.iter().any(|other| (other.invariant, &other.pod) == (one.invariant, &one.pod)));
        }
    };
    // What stands after that time stands.
    let _ = tokio::time::timeout(LAST_WORDS, mended).await;
    open.into_iter().for_each(|violation| say(tell, Event::Violated(violation)));
}
