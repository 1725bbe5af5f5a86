//! Disruption budgets, and what they still allow.

use std::collections::HashMap;

use super::pods::{Pods, Running};
use crate::contract::event::Budget;
use crate::contract::pod::Uid;

/// The disruption budgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budgets {
    budgets: Vec<Budget>,
    /// The positions of the budgets that cover a pod.
    of: HashMap<Uid, Vec<usize>>,
}

impl Budgets {
    pub(crate) fn new(budgets: Vec<Budget>) -> Self {
        let mut of: HashMap<Uid, Vec<usize>> = HashMap::new();
        for (at, budget) in budgets.iter().enumerate() {
            budget.pods.iter().for_each(|&pod| of.entry(pod).or_default().push(at));
        }
        Self { budgets, of }
    }

    /// The positions of the budgets that cover a pod.
    pub(crate) fn of(&self, pod: Uid) -> &[usize] {
        self.of.get(&pod).map_or(&[], Vec::as_slice)
    }

    /// The namespace and name of a budget.
    pub(crate) fn name(&self, at: usize) -> &str {
        self.budgets.get(at).map_or("", |budget| &budget.name)
    }

    /// How many evictions each budget still allows, without those that were decided and have not begun.
    pub(crate) fn left(&self, pods: &Pods) -> Vec<u32> {
        let marked = |uid: &&Uid| pods.find(**uid).and_then(|pod| pods.running(pod)).is_some_and(Running::is_marked);
        let left = |budget: &Budget| {
            let going = budget.pods.iter().filter(marked).count();
            budget.allowed.saturating_sub(u32::try_from(going).unwrap_or(u32::MAX))
        };
        self.budgets.iter().map(left).collect()
    }
}
