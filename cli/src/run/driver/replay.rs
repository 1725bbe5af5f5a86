//! The replay itself: each pod at its time, until every one had its turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use weir_local::Scheduler;

use super::watch::Watch;
use super::{AT_A_TIME, Run, Wires, say};
use crate::run::ending::{Ending, Look, PATIENCE};
use crate::run::metrics::SchedulerFigures;
use crate::run::objects;
use crate::run::story::Event;
use crate::run::timeline::Arrival;

/// How often the scheduler is asked for its metrics.
const METRICS_EVERY: Duration = Duration::from_millis(500);
/// How long the sidecar may take, when all is over, to say on the last pods what it did.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Run {
    pub(super) async fn replay(
        &self,
        client: &Client,
        scheduler: &Scheduler,
        watch: &Watch,
        wires: &Wires,
    ) -> Result<()> {
        // The end is nobody's to say before the last pod has come, so figures and arrivals go on side by side.
        let arrivals = &self.workload.timeline.arrivals;
        tokio::try_join!(arrive(client, arrivals, &wires.tell), until_decided(arrivals.len(), scheduler, wires))?;
        judge_the_rest(watch, &wires.tell).await;
        Ok(())
    }
}

/// Creates each pod at its time.
async fn arrive(client: &Client, arrivals: &[Arrival], tell: &UnboundedSender<Event>) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), objects::NAMESPACE);
    if let Some(late) = arrivals.iter().find_map(held_up) {
        say(tell, Event::Note(late));
    }
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let began = tokio::time::Instant::now();
    let mut creations = JoinSet::new();
    for arrival in arrivals {
        tokio::time::sleep_until(began + arrival.at).await;
        let permit = Arc::clone(&room).acquire_owned().await.context("wait for room")?;
        let (api, pod) = (api.clone(), objects::pod(arrival));
        creations.spawn(async move {
            let created = api.create(&PostParams::default(), &pod).await;
            drop(permit);
            created.map(drop)
        });
        while let Some(created) = creations.try_join_next() {
            created.context("create a pod")?.context("create a pod")?;
        }
    }
    while let Some(created) = creations.join_next().await {
        created.context("create a pod")?.context("create a pod")?;
    }
    say(tell, Event::Note("all pods have come; a queue drains as those that run end".to_owned()));
    Ok(())
}

/// That a gang will have to wait for its last pod.
fn held_up(arrival: &Arrival) -> Option<String> {
    let band = arrival.member.gang.as_ref().filter(|band| band.held_up)?;
    Some(format!("the last of {} pods of gang {} comes late", band.size, band.name))
}

/// Returns when the run is over, as [`Ending`] decides. Tells the plugins' figures on the way.
async fn until_decided(pods: usize, scheduler: &Scheduler, wires: &Wires) -> Result<()> {
    let mut tick = tokio::time::interval(METRICS_EVERY);
    let (mut ending, began) = (Ending::new(pods), Instant::now());
    loop {
        tick.tick().await;
        let to_be_tried = tell_figures(scheduler, &wires.tell).await?;
        let counts = *wires.counts.borrow();
        match ending.look(began.elapsed(), counts, to_be_tried) {
            Look::GoOn => {}
            Look::Over => return Ok(()),
            Look::Stuck => bail!(
                "{} pods wait, some of them without a word, and nothing happened for {} s; the end of the scheduler's \
                 log:\n{}",
                counts.waiting,
                PATIENCE.as_secs(),
                scheduler.process().log_tail()
            ),
        }
    }
}

/// Tells what the plugins did so far, and says how many pods the scheduler will try by itself.
pub(super) async fn tell_figures(scheduler: &Scheduler, tell: &UnboundedSender<Event>) -> Result<u64> {
    let figures = SchedulerFigures::read(&scheduler.metrics().await?);
    figures.plugins.into_iter().for_each(|plugin| say(tell, Event::Plugin(plugin)));
    Ok(figures.to_be_tried)
}

/// Judges what could not be judged before. What the sidecar has yet to say on a pod is waited for.
async fn judge_the_rest(watch: &Watch, tell: &UnboundedSender<Event>) {
    let silent = async {
        while !watch.observer().await.settled().is_empty() {
            watch.heard().await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, silent).await;
    let found = watch.observer().await.settled();
    found.into_iter().for_each(|violation| say(tell, Event::Violated(violation)));
}
