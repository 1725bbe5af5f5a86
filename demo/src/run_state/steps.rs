//! The steps of the demonstration, and what each came to: how things stood when it began, how they stand now,
//! and the sentence that says the difference.
//!
//! The driver says which step it plays. What became of it is worked out from what the watch told, so a sentence
//! claims nothing that did not happen.

use std::collections::BTreeMap;

use weir_model::Amount;
use weir_model::dimension::GPU;

use super::evictions::{EvictionRow, Evictions};
use super::rays::{self, Rays};
use crate::At;
use crate::cluster_state::levels::Level;
use crate::cluster_state::pool::{PoolLevel, PoolState};
use crate::format::{grouped, percent};

/// What happens in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Research takes what is free, beyond what it reserves.
    Fill {
        /// The pools that take.
        research: Vec<String>,
        /// The pools that reserve what is taken.
        production: Vec<String>,
    },
    /// A pool asks for what it reserves, and others give it back.
    Return {
        /// The pool.
        pool: String,
    },
    /// A RayJob comes and runs.
    RayRuns {
        /// Its name.
        job: String,
    },
    /// A RayJob comes and waits, all of it.
    RayWaits {
        /// Its name.
        job: String,
    },
    /// A RayJob has to go, all of it.
    RayGoes {
        /// Its name.
        job: String,
    },
    /// A node is emptied for maintenance.
    Drain {
        /// Its name.
        node: String,
    },
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It is being played.
    Playing,
    /// What was to happen has happened.
    Done,
    /// It did not come to its end in time.
    Cut {
        /// What was still missing.
        why: String,
    },
}

/// A step, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// When it began.
    pub began: At,
    /// How far it is.
    pub state: StepState,
    /// What it is, in two or three words.
    pub title: &'static str,
    /// What came of it so far.
    pub sentence: String,
}

/// How things stand at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// GPUs of all models.
    pub(super) gpu: Level,
    /// GPUs that are not special, by pool.
    pub(super) pools: BTreeMap<String, PoolLevel>,
    /// All evicted pods.
    pub(super) evictions: Evictions,
    /// Ray clusters.
    pub(super) rays: Rays,
}

impl Moment {
    pub(super) fn of<'a>(
        gpu: Level,
        pools: impl Iterator<Item = &'a PoolState>,
        evictions: &Evictions,
        rays: Rays,
    ) -> Self {
        let gpus = |pool: &PoolState| Some((pool.name.clone(), *pool.resources.get(GPU)?));
        Self { gpu, pools: pools.filter_map(gpus).collect(), evictions: evictions.clone(), rays }
    }

    fn pool(&self, name: &str) -> PoolLevel {
        self.pools.get(name).copied().unwrap_or_default()
    }
}

/// A step, from its beginning.
#[derive(Clone, Debug)]
struct Played {
    step: Step,
    state: StepState,
    began: At,
    from: Moment,
    /// How it ended; `None` while it is played.
    to: Option<Moment>,
}

/// All steps so far, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    played: Vec<Played>,
}

impl Steps {
    /// Takes in that a step begins or is over; whether that is news.
    pub(super) fn told(&mut self, now: At, step: Step, state: StepState, moment: Moment) -> bool {
        match self.played.iter_mut().find(|known| known.step == step) {
            Some(known) if known.to.is_none() && state != StepState::Playing => {
                (known.state, known.to) = (state, Some(moment));
                true
            }
            Some(_) => false,
            None => {
                let to = (state != StepState::Playing).then(|| moment.clone());
                self.played.push(Played { step, state, began: now, from: moment, to });
                true
            }
        }
    }

    /// The steps as they stand, with those under way compared with `now`.
    pub(super) fn rows(&self, now: &Moment) -> Vec<StepRow> {
        self.played.iter().map(|played| played.row(now)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.played.is_empty()
    }
}

impl Played {
    fn row(&self, now: &Moment) -> StepRow {
        let Self { step, state, began, from, to } = self;
        let to = to.as_ref().unwrap_or(now);
        let sentence = match step {
            Step::Fill { research, production } => filled(research, production, from, to),
            Step::Return { pool } => returned(pool, from, to),
            Step::Drain { node } => drained(node, from, to),
            Step::RayRuns { job } => rays::runs(&to.rays, job),
            Step::RayWaits { job } => rays::waits(&to.rays, job),
            Step::RayGoes { job } => rays::went(&to.rays, job),
        };
        let sentence = match state {
            StepState::Cut { why } => format!("{sentence}; cut short: {why}"),
            StepState::Playing | StepState::Done => sentence,
        };
        StepRow { began: *began, state: state.clone(), title: step.title(), sentence }
    }
}

impl Step {
    /// What it is, in a few words.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "research fills the cluster",
            Self::Return { .. } => "production returns",
            Self::Drain { .. } => "a node is drained",
            Self::RayRuns { .. } => "a RayJob runs",
            Self::RayWaits { .. } => "a RayJob waits as a whole",
            Self::RayGoes { .. } => "a RayJob is preempted as a whole",
        }
    }
}

fn filled(research: &[String], production: &[String], from: &Moment, to: &Moment) -> String {
    let used: Amount = research.iter().map(|pool| to.pool(pool).usage).sum();
    let beyond = |pools: &[String]| -> Amount {
        let levels = pools.iter().map(|pool| to.pool(pool));
        levels.map(|level| level.usage.minus(level.reserved).max(Amount::ZERO)).sum()
    };
    let production = match beyond(production) {
        Amount::ZERO => "production borrows nothing".to_owned(),
        some => format!("production borrows {}", number(some)),
    };
    format!(
        "{} → {} of {} GPUs in use; research uses {}, {} more than it reserves; {production}",
        percent(from.gpu.used_ratio()),
        percent(to.gpu.used_ratio()),
        number(to.gpu.capacity),
        number(used),
        number(beyond(research)),
    )
}

fn returned(pool: &str, from: &Moment, to: &Moment) -> String {
    let (before, after) = (from.pool(pool), to.pool(pool));
    let mut sentence = format!("{pool} uses {} → {} GPUs of its own", number(before.usage), number(after.usage));
    if !after.demand.is_zero() {
        sentence += &format!(" and waits for {} more", number(after.demand));
    }
    let mut gave = to.evictions.since(&from.evictions);
    gave.retain(|row| row.to.as_deref() == Some(pool));
    let mut givers: BTreeMap<&str, usize> = BTreeMap::new();
    gave.iter().for_each(|EvictionRow { pool, pods, .. }| *givers.entry(pool).or_default() += pods);
    for (at, (giver, pods)) in givers.into_iter().enumerate() {
        let (before, after) = (from.pool(giver).usage, to.pool(giver));
        let [before, after, entitled] = [before, after.usage, after.entitlement].map(number);
        let begin = if at == 0 { "; research brought back: " } else { ", " };
        sentence += &format!("{begin}{giver} {before} → {after} (entitled to {entitled}), {} evicted", pods_of(pods));
    }
    sentence
}

fn drained(node: &str, from: &Moment, to: &Moment) -> String {
    let pods: usize =
        to.evictions.since(&from.evictions).iter().filter(|row| row.to.is_none()).map(|row| row.pods).sum();
    let (before, after) = (number(from.gpu.capacity), number(to.gpu.capacity));
    format!("{node} is cordoned, {} evicted; the cluster has {before} → {after} GPUs to give", pods_of(pods))
}

fn pods_of(pods: usize) -> String {
    match pods {
        1 => "1 pod".to_owned(),
        _ => format!("{} pods", grouped(pods as u64)),
    }
}

fn number(amount: Amount) -> String {
    grouped(amount.units().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster_state::eviction::Eviction;

    fn at(seconds: u64) -> At {
        Duration::from_secs(seconds)
    }

    /// Reserved, used and asked for by each pool; of 100 GPUs, `capacity` are there now.
    fn moment(capacity: i64, pools: &[(&str, [i64; 3])], evicted: &[(&str, &str)]) -> Moment {
        let level = |&(name, [reserved, usage, demand]): &(&str, [i64; 3])| {
            let [reserved, usage, demand] = [reserved, usage, demand].map(Amount::new);
            (name.to_owned(), PoolLevel { reserved, entitlement: usage, usage, demand, ..PoolLevel::default() })
        };
        let used = pools.iter().map(|(_, [_, usage, _])| usage).sum();
        let gpu = Level { capacity: Amount::new(capacity), used: Amount::new(used), ..Level::default() };
        let mut evictions = Evictions::default();
        for (pool, message) in evicted {
            evictions.add(pool, &Eviction { reason: "Reclaimed".into(), message: (*message).into() });
        }
        Moment { gpu, pools: pools.iter().map(level).collect(), evictions, rays: Rays::new() }
    }

    fn sentence(step: Step, state: StepState, from: Moment, to: Moment) -> String {
        let mut steps = Steps::default();
        assert!(steps.told(at(1), step.clone(), StepState::Playing, from));
        assert!(steps.told(at(2), step, state, to));
        steps.rows(&Moment::default()).remove(0).sentence
    }

    #[test]
    fn that_research_fills_the_cluster_is_said_with_what_it_borrows() {
        let step = Step::Fill { research: vec!["research".into()], production: vec!["production".into()] };
        let from = moment(100, &[("research", [20, 10, 0]), ("production", [60, 30, 0])], &[]);
        let to = moment(100, &[("research", [20, 70, 8]), ("production", [60, 30, 0])], &[]);
        assert_eq!(
            sentence(step, StepState::Done, from, to),
            "40 % → 100 % of 100 GPUs in use; research uses 70, 50 more than it reserves; production borrows nothing"
        );
    }

    #[test]
    fn what_was_given_back_is_said_by_pool_with_how_many_went_for_it() {
        let step = || Step::Return { pool: "production".into() };
        let (to_it, to_other) =
            ("the room goes to pod p of pool \"production\"", "the room goes to pod p of pool \"x\"");
        let from = moment(100, &[("research", [20, 70, 0]), ("production", [60, 30, 0])], &[("research", to_it)]);
        let gone = [("research", to_it), ("research", to_it), ("research", to_it), ("research", to_other)];
        let to = moment(100, &[("research", [20, 54, 0]), ("production", [60, 46, 0])], &gone);
        let said = "production uses 30 → 46 GPUs of its own; research brought back: research 70 → 54 (entitled to 54), 2 pods \
                    evicted";
        assert_eq!(sentence(step(), StepState::Done, from.clone(), to), said);
        let meanwhile = moment(100, &[("research", [20, 70, 0]), ("production", [60, 30, 16])], &gone[..1]);
        let why = "1 of 2 run".to_owned();
        let said = "production uses 30 → 30 GPUs of its own and waits for 16 more; cut short: 1 of 2 run";
        assert_eq!(sentence(step(), StepState::Cut { why }, from, meanwhile), said);
    }

    #[test]
    fn of_a_drained_node_it_is_said_what_capacity_went_with_it() {
        let (from, to) = (moment(100, &[], &[]), moment(92, &[], &[("research", "Eviction API: evicting")]));
        let said = "n1 is cordoned, 1 pod evicted; the cluster has 100 → 92 GPUs to give";
        assert_eq!(sentence(Step::Drain { node: "n1".into() }, StepState::Done, from, to), said);
    }

    #[test]
    fn an_act_that_is_over_stays_as_it_ended_whatever_is_told_again() {
        let (mut steps, step) = (Steps::default(), Step::Drain { node: "n1".into() });
        assert!(steps.told(at(1), step.clone(), StepState::Playing, moment(100, &[], &[])));
        assert!(!steps.told(at(2), step.clone(), StepState::Playing, moment(90, &[], &[])));
        assert!(steps.told(at(3), step.clone(), StepState::Done, moment(92, &[], &[])));
        assert!(!steps.told(at(4), step, StepState::Done, moment(50, &[], &[])));
        let rows = steps.rows(&moment(10, &[], &[]));
        assert_eq!((rows.len(), rows[0].began, rows[0].title), (1, at(1), "a node is drained"));
        assert!(rows[0].sentence.contains("100 → 92"), "{}", rows[0].sentence);
    }
}
