//! Who had to go, why, and who benefits, as the pods themselves say it before they go.

use std::collections::BTreeMap;

/// Why a pod has to go: what its condition says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// The word of the condition.
    pub reason: String,
    /// The sentence, with the numbers and who benefits.
    pub message: String,
}

/// How many pods of a pool went for one reason and one beneficiary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionRow {
    /// The pool that they were in; empty for pods that ask no pool.
    pub pool: String,
    /// The word of their conditions.
    pub reason: String,
    /// The pool that got the room, where the sentence names one.
    pub to: Option<String>,
    /// Pods that went.
    pub pods: usize,
    /// What the last of them said.
    pub message: String,
}

impl Eviction {
    /// The pool that gets the room, where the sentence names one.
    ///
    /// ```
    /// use weir_demo::run_state::Eviction;
    /// let message = "pool \"b\" uses 8 cpu and is entitled to 4; the room goes to pod default/p of pool \"a\"";
    /// let eviction = Eviction { reason: "Reclaimed".into(), message: message.into() };
    /// assert_eq!(eviction.to(), Some("a"));
    /// ```
    #[must_use]
    pub fn to(&self) -> Option<&str> {
        // Every sentence about somebody who benefits names the pool once, in quotes, after these words.
        let (_, after) = self.message.split_once(" of pool \"")?;
        after.split('"').next().filter(|pool| !pool.is_empty())
    }
}

/// All who went so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Evictions {
    rows: BTreeMap<(String, String, Option<String>), (usize, String)>,
}

impl Evictions {
    pub(super) fn add(&mut self, pool: &str, eviction: &Eviction) {
        let key = (pool.to_owned(), eviction.reason.clone(), eviction.to().map(str::to_owned));
        let (pods, message) = self.rows.entry(key).or_default();
        *pods += 1;
        message.clone_from(&eviction.message);
    }

    /// By pool, reason and beneficiary.
    pub(super) fn rows(&self) -> Vec<EvictionRow> {
        let row = |((pool, reason, to), (pods, message)): (&(String, String, Option<String>), &(usize, String))| {
            let (pool, reason, to, message) = (pool.clone(), reason.clone(), to.clone(), message.clone());
            EvictionRow { pool, reason, to, pods: *pods, message }
        };
        self.rows.iter().map(row).collect()
    }

    /// Who went since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> Vec<EvictionRow> {
        let before = |row: &EvictionRow| {
            let key = (row.pool.clone(), row.reason.clone(), row.to.clone());
            earlier.rows.get(&key).map_or(0, |(pods, _)| *pods)
        };
        let fewer =
            self.rows().into_iter().map(|row| EvictionRow { pods: row.pods - before(&row).min(row.pods), ..row });
        fewer.filter(|row| row.pods > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_model::Amount;
    use weir_queue::{Cause, OverBy, PoolName, Uid};

    use super::*;

    fn sentence(cause: Cause) -> String {
        let eviction = weir_queue::Eviction { cause, victims: Vec::new(), budgets: Vec::new() };
        eviction.sentence(|_| "default/serving-1".to_owned())
    }

    fn eviction(message: String) -> Eviction {
        Eviction { reason: "Reclaimed".into(), message }
    }

    #[test]
    fn the_sentences_that_the_sidecar_writes_name_who_benefits() {
        let over = OverBy {
            pool: PoolName("research".into()),
            dim: "nvidia.com/gpu".into(),
            usage: Amount::new(8),
            entitlement: Amount::new(4),
        };
        let (pool, node): (String, Arc<str>) = ("production".into(), "n".into());
        for pods in [1, 2] {
            let claimant = vec![(Uid::new(1), Arc::clone(&node)); pods];
            let said =
                sentence(Cause::Reclaim { claimant: claimant.clone(), pool: pool.clone(), over: vec![over.clone()] });
            let to = eviction(said.clone()).to().map(str::to_owned);
            assert_eq!(to.as_deref(), Some("production"), "{said}");
            let said = sentence(Cause::WithinPool { claimant, pool: pool.clone() });
            assert_eq!(eviction(said.clone()).to(), Some("production"), "{said}");
        }
        assert_eq!(eviction(sentence(Cause::Drain { pool: PoolName("research".into()) })).to(), None);
    }

    #[test]
    fn those_who_went_are_counted_by_pool_reason_and_beneficiary_and_since_a_moment() {
        let mut evictions = Evictions::default();
        let to_a = |words: &str| eviction(format!("{words}; the room goes to pod p of pool \"a\""));
        evictions.add("b", &to_a("first"));
        let earlier = evictions.clone();
        evictions.add("b", &to_a("second"));
        evictions.add("c", &eviction("drained".into()));
        let rows = evictions.rows();
        let row = |at: usize| (rows[at].pool.as_str(), rows[at].to.as_deref(), rows[at].pods);
        assert_eq!((rows.len(), row(0), row(1)), (2, ("b", Some("a"), 2), ("c", None, 1)));
        assert!(rows[0].message.starts_with("second; "));
        assert_eq!(evictions.since(&earlier).iter().map(|row| row.pods).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(evictions.since(&evictions), []);
    }
}
