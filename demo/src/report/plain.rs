//! A run in plain lines, for a log: one when a step begins and when it ends, one about every five seconds.
//!
//! The driver's clock is the story's time; nothing here waits.

use std::time::Duration;

use weir_model::Amount;
use weir_model::dimension::GPU;

use crate::At;
use crate::cluster_state::hosts;
use crate::cluster_state::pool::PoolLevel;
use crate::cluster_state::pool_tree::{self, PoolRow};
use crate::cluster_state::queue::{self, WaitReason};
use crate::format::{clock, grouped, percent, seconds};
use crate::run_state::counts::Counts;
use crate::run_state::evictions::EvictionRow;
use crate::run_state::setup::SetupState;
use crate::run_state::steps::{StepRow, StepState};
use crate::run_state::{Phase, RunState};

/// How often there is a line about what goes on.
const EVERY: Duration = Duration::from_secs(5);

/// What was already said.
#[derive(Clone, Debug, Default)]
pub struct LineLog {
    /// For each step, by its position, whether its beginning and its end were said.
    said: Vec<(bool, bool)>,
    violations: usize,
    /// For each step, by its position, whether its beginning and its end were said.
    steps: Vec<(bool, bool)>,
    /// The evictions until the last step that was written.
    evicted: Vec<EvictionRow>,
    last: At,
    phase: Phase,
}

impl LineLog {
    /// What is new since the last call, in lines; often nothing.
    pub fn lines(&mut self, run: &RunState) -> Vec<String> {
        let mut lines = self.setup_steps(run);
        for violation in &run.violations()[self.violations..] {
            lines.push(violation.to_string());
        }
        self.violations = run.violations().len();
        if self.phase != run.clock().phase() {
            self.phase = run.clock().phase();
            lines.extend(turned(run));
            self.last = run.clock().now();
        }
        lines.extend(self.steps(run));
        if run.clock().now().saturating_sub(self.last) >= EVERY {
            lines.extend(going_on(run));
            lines.extend(divided(run));
            lines.extend(run.steps().into_iter().rev().find(|step| step.state == StepState::Playing).map(so_far));
            self.last = run.clock().now();
        }
        lines.iter().map(|line| format!("{:>6}  {line}", clock(run.clock().now()))).collect()
    }

    /// Writes each step when it begins, and when it is over its outcome and the evictions for it, with the reasons.
    fn steps(&mut self, run: &RunState) -> Vec<String> {
        let steps = run.steps();
        self.steps.resize(steps.len(), (false, false));
        let mut lines = Vec::new();
        for (at, StepRow { title, state, sentence, .. }) in steps.iter().enumerate() {
            let (began, ended) = &mut self.steps[at];
            if !std::mem::replace(began, true) {
                lines.push(format!("act {}: {title} …", at + 1));
            }
            if *state != StepState::Playing && !std::mem::replace(ended, true) {
                lines.push(format!("act {}: {title}: {sentence}", at + 1));
                let gone = run.totals().evictions().rows();
                lines.extend(gone.iter().filter(|row| !self.evicted.contains(row)).map(went));
                self.evicted = gone;
            }
        }
        lines
    }

    fn setup_steps(&mut self, run: &RunState) -> Vec<String> {
        self.said.resize(run.setup_steps().len(), (false, false));
        let mut lines = Vec::new();
        for (step, (began, ended)) in run.setup_steps().iter().zip(&mut self.said) {
            let name = &step.name;
            match &step.state {
                SetupState::Running { elapsed: _, expected } if !*began => {
                    let about = expected.map_or_else(String::new, |expected| format!(" (about {})", seconds(expected)));
                    lines.push(format!("{name}{about} …"));
                }
                SetupState::Done { took } if !*ended => lines.push(format!("{name}: done in {}", seconds(*took))),
                SetupState::Failed { why } if !*ended => lines.push(format!("{name}: failed: {why}")),
                SetupState::Planned
                | SetupState::Running { .. }
                | SetupState::Done { .. }
                | SetupState::Failed { .. } => {}
            }
            *began |= !matches!(step.state, SetupState::Planned);
            *ended |= matches!(step.state, SetupState::Done { .. } | SetupState::Failed { .. });
        }
        if !lines.is_empty() {
            self.last = run.clock().now();
        }
        lines
    }
}

/// The evictions, and the sentence on the last of them.
fn went(EvictionRow { pool, reason, to: _, pods, message }: &EvictionRow) -> String {
    format!("  evicted so far from {pool}: {} ({reason}), the last because {message}", grouped(*pods as u64))
}

/// What a step has come to while it is played.
fn so_far(StepRow { title, sentence, .. }: StepRow) -> String {
    format!("  {title}: {sentence}")
}

/// What is said once when a part of the run begins.
fn turned(run: &RunState) -> Option<String> {
    match run.clock().phase() {
        Phase::SettingUp => None,
        Phase::Replaying => {
            let (pods, nodes) = (grouped(run.plan().pods as u64), grouped(run.cluster().nodes().len() as u64));
            Some(format!("replaying {} on {nodes} nodes: {pods} pods", run.plan().title))
        }
        Phase::Ended => Some(format!("ended: {}", run.clock().ending().unwrap_or_default())),
    }
}

/// What is said every five seconds.
fn going_on(run: &RunState) -> Option<String> {
    match run.clock().phase() {
        Phase::SettingUp => run.setup_steps().iter().rev().find_map(|step| match &step.state {
            SetupState::Running { elapsed, expected: Some(expected) } => {
                Some(format!("{}: {} of about {}", step.name, seconds(*elapsed), seconds(*expected)))
            }
            SetupState::Running { elapsed, expected: None } => Some(format!("{}: {}", step.name, seconds(*elapsed))),
            SetupState::Planned | SetupState::Done { .. } | SetupState::Failed { .. } => None,
        }),
        Phase::Replaying => {
            let counts = run.counts();
            let Counts { created, waiting, queued, refused, running, .. } = counts;
            let levels = run.levels();
            Some(format!(
                "created {} of {}, placed {} ({:.0}/s), running {running}, waiting {waiting} ({queued} for \
                 admission, {refused} refused), GPU {}, CPU {}",
                grouped(created as u64),
                grouped(run.plan().pods as u64),
                grouped(counts.bound() as u64),
                run.rate().per_second(),
                percent(levels.gpu.used_ratio()),
                percent(levels.cpu.used_ratio()),
            ))
        }
        Phase::Ended => None,
    }
}

/// The division of the cluster, the waiting pods and the pods on special hardware, where there are any.
fn divided(run: &RunState) -> Vec<String> {
    if run.clock().phase() != Phase::Replaying {
        return Vec::new();
    }
    let gpus = |row: &PoolRow<'_>| row.figures.resources.get(GPU).copied();
    let pool = |row: &PoolRow<'_>| {
        let PoolLevel { reserved: _, entitlement, usage, demand, borrowed } = gpus(row)?;
        let more = |amount: Amount, word: &str| match amount.is_zero() {
            true => String::new(),
            false => format!(" {word} {amount}"),
        };
        Some(format!("{} {usage}/{entitlement}{}{}", row.figures.name, more(demand, "+"), more(borrowed, "borrows")))
    };
    // Those that hold pods: a row that is followed by a deeper one is a sum.
    let rows = pool_tree::rows(run.cluster());
    let leaves =
        rows.iter().enumerate().filter(|(at, row)| rows.get(at + 1).is_none_or(|next| next.depth <= row.depth));
    let pools: Vec<String> = leaves.filter_map(|(_, row)| pool(row)).collect();
    let reasons = queue::reasons(run.cluster()).into_iter().map(|WaitReason { reason, pods }| {
        format!("{pods} {}", reason.unwrap_or_else(|| "not looked at yet".to_owned()))
    });
    let reasons: Vec<String> = reasons.collect();
    let lines = [
        (!pools.is_empty()).then(|| format!("  GPUs used/entitled: {}", pools.join(", "))),
        (!reasons.is_empty()).then(|| format!("  queue: {}", reasons.join(", "))),
        hosts::special(run.cluster()).map(|held| format!("  {}", held.sentence())),
    ];
    lines.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::run_state::Event;
    use crate::run_state::event::Plan;
    use crate::run_state::setup::SetupStep;

    fn at(seconds: u64) -> At {
        Duration::from_secs(seconds)
    }

    fn step(name: &str, state: SetupState) -> Event {
        Event::SetUp(SetupStep { name: name.into(), state })
    }

    fn running(elapsed: u64) -> SetupState {
        SetupState::Running { elapsed: at(elapsed), expected: Some(at(120)) }
    }

    #[test]
    fn a_step_is_said_when_it_begins_when_it_ends_and_every_five_seconds_between() {
        let (mut run, mut log, mut lines) = (RunState::new(), LineLog::default(), Vec::new());
        run.tell(at(0), step("building etcd", SetupState::Planned));
        assert_eq!(log.lines(&run), Vec::<String>::new());
        for second in 0..12 {
            run.tell(at(second), step("building etcd", running(second)));
            lines.extend(log.lines(&run));
        }
        run.tell(at(12), step("building etcd", SetupState::Done { took: at(12) }));
        lines.extend(log.lines(&run));
        lines.extend(log.lines(&run));
        assert_eq!(
            lines,
            [
                "  0:00  building etcd (about 120 s) …",
                "  0:05  building etcd: 5.0 s of about 120 s",
                "  0:10  building etcd: 10 s of about 120 s",
                "  0:12  building etcd: done in 12 s"
            ]
        );
    }

    #[test]
    fn a_step_that_fails_says_why() {
        let (mut run, mut log) = (RunState::new(), LineLog::default());
        run.tell(at(3), step("starting etcd", SetupState::Failed { why: "port 2379 is in use".into() }));
        assert_eq!(log.lines(&run), ["  0:03  starting etcd: failed: port 2379 is in use"]);
    }

    #[test]
    fn the_replay_is_said_every_five_seconds() {
        let (mut run, mut log, mut lines) = (RunState::new(), LineLog::default(), Vec::new());
        run.tell(at(0), Event::Planned(Plan { title: "openb".into(), nodes: 1, pods: 2, ..Plan::default() }));
        run.tell(at(1), Event::Cluster(example::host("g1", Some("T4"), 8, 64)));
        run.tell(at(1), Event::ReplayStarted);
        run.tell(at(2), Event::Cluster(example::on("g1", example::pod("train", 2, 8))));
        for tenth in 20..130 {
            run.advance(Duration::from_millis(tenth * 100));
            lines.extend(log.lines(&run));
        }
        let line = |time: &str, rate: &str| {
            format!(
                "{time}  created 1 of 2, placed 1 ({rate}/s), running 1, waiting 0 (0 for admission, 0 refused), GPU 25 %, CPU 0 %"
            )
        };
        assert_eq!(
            lines,
            ["  0:02  replaying openb on 1 nodes: 2 pods".to_owned(), line("  0:07", "0"), line("  0:12", "0")]
        );
    }

    #[test]
    fn a_divided_cluster_is_said_by_its_leaves_and_its_queue() {
        let mut run = example::divided();
        let expected = [
            "  GPUs used/entitled: labs-production 0/1 + 2, labs-research 7/7 + 8 borrows 2",
            "  queue: 2 WaitingForGang, 1 WaitingForQuota",
        ];
        assert_eq!(divided(&run), expected);
        run.tell(at(66), Event::Cluster(example::host("g2", Some("G3"), 8, 96)));
        let special = "  8 special: 0 held by pods that name them, 0 by others, 8 free".to_owned();
        assert_eq!(divided(&run).last(), Some(&special));
    }

    #[test]
    fn each_act_is_said_with_what_came_of_it_and_why_pods_went() {
        let mut log = LineLog::default();
        let lines = log.lines(&example::with_story());
        let said = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(said("act 1: production returns …"), "{lines:#?}");
        assert!(said("act 1: production returns: labs-production uses 0 → 6 GPUs of its own; research brought back"));
        assert!(said(
            "evicted so far from labs-research: 1 (Reclaimed), the last because pool \"labs-research\" uses 7"
        ));
        assert!(said("act 2: a node is drained …") && !said("act 2: a node is drained:"), "it is not over");
    }

    #[test]
    fn a_breach_and_the_end_are_said_at_once() {
        let mut log = LineLog::default();
        let lines = log.lines(&example::run());
        assert!(lines.contains(
            &"  0:21  D1 broken: pod default/web on node g1: asks for no GPU, but this is a GPU host".to_owned()
        ));
        assert_eq!(lines.last().map(String::as_str), Some("  0:21  ended: all pods of the trace had their turn"));
    }
}
