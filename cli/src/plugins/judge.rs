//! Whether what was asked for has happened, told from the reports alone.

use super::report::{Plugin, REFUSED, ROLLED_BACK, Report, Swap, living};
use crate::digest::short;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This digest decides.
    InForce(String),
    /// This digest runs in the shadow.
    InShadow(String),
    /// Nothing runs in the shadow.
    NoShadow,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// These replicas have not said so yet.
    Waiting(Vec<String>),
    /// All have: these.
    Done(Vec<String>),
    /// One has not and will not, and says why.
    Refused(String),
}

/// A plugin whose module stands in one ConfigMap, and its last swaps before anything was asked for.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) plugin: String,
    pub(super) source: String,
    before: Vec<(String, Option<Swap>)>,
}

impl Judge {
    pub(super) fn new(plugin: &str, source: &str, before: &[Report]) -> Self {
        let mut judge = Self { plugin: plugin.to_owned(), source: source.to_owned(), before: Vec::new() };
        judge.before = judge.rows(before).map(|(report, row)| (slot(report, row), row.last_swap.clone())).collect();
        judge
    }

    /// One that takes a refusal for an answer even if it stood there before.
    pub(super) fn without_memory(self) -> Self {
        Self { before: Vec::new(), ..self }
    }

    /// What the reports say now.
    pub(super) fn progress(&self, reports: &[Report], wanted: &Wanted) -> Progress {
        let (mut waiting, mut done) = (Vec::new(), Vec::new());
        for (report, row) in self.rows(reports) {
            if reached(row, wanted) {
                done.push(report.replica.clone());
            } else if let Some(why) = self.refusal(report, row, wanted) {
                return Progress::Refused(format!("{}: {why}", report.replica));
            } else {
                waiting.push(report.replica.clone());
            }
        }
        done.dedup();
        waiting.dedup();
        if waiting.is_empty() && !done.is_empty() { Progress::Done(done) } else { Progress::Waiting(waiting) }
    }

    fn rows<'a>(&'a self, reports: &'a [Report]) -> impl Iterator<Item = (&'a Report, &'a Plugin)> {
        let rows = living(reports).flat_map(|report| report.about(&self.plugin).map(move |row| (report, row)));
        rows.filter(|(_, row)| row.source == self.source)
    }

    /// Why a slot does not take what is wanted, if it has said so since. A module that could not be read has no digest.
    fn refusal(&self, report: &Report, row: &Plugin, wanted: &Wanted) -> Option<String> {
        let (Wanted::InForce(digest) | Wanted::InShadow(digest)) = wanted else { return None };
        let swap = row.last_swap.as_ref().filter(|swap| [REFUSED, ROLLED_BACK].contains(&swap.result.as_str()))?;
        let name = slot(report, row);
        let old = self.before.iter().any(|(slot, before)| *slot == name && before.as_ref() == Some(swap));
        let ours = swap.result == ROLLED_BACK || swap.digest.is_empty() || swap.digest == *digest;
        (!old && ours).then(|| format!("{}; {} stays in force", swap.reason, short(&row.digest)))
    }
}

/// One plugin in one profile of one replica.
fn slot(report: &Report, row: &Plugin) -> String {
    format!("{}/{}", report.replica, row.profile)
}

fn reached(row: &Plugin, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::InForce(digest) => row.digest == *digest,
        Wanted::InShadow(digest) => row.candidate.as_ref().is_some_and(|candidate| candidate.digest == *digest),
        Wanted::NoShadow => row.candidate.is_none(),
    }
}
