//! The evicted pods, with the reason and the pool that got the room, as their conditions said before they went.

use std::collections::BTreeMap;

use crate::cluster_state::eviction::Eviction;

/// How many pods of a pool went for one reason and one beneficiary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionRow {
    /// The pool that they were in; empty for pods that name none.
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

/// Every pod that went so far, counted.
#[derive(Clone, Debug, Default)]
pub struct Evictions {
    rows: BTreeMap<Kind, Gone>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    pool: String,
    reason: String,
    to: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Gone {
    pods: usize,
    message: String,
}

impl Evictions {
    pub(super) fn add(&mut self, pool: &str, eviction: &Eviction) {
        let (pool, reason) = (pool.to_owned(), eviction.reason.clone());
        let kind = Kind { pool, reason, to: eviction.to().map(str::to_owned) };
        let gone = self.rows.entry(kind).or_default();
        gone.pods += 1;
        gone.message.clone_from(&eviction.message);
    }

    /// By pool, reason and beneficiary.
    #[must_use]
    pub fn rows(&self) -> Vec<EvictionRow> {
        let row = |(Kind { pool, reason, to }, Gone { pods, message }): (&Kind, &Gone)| {
            let (pool, reason, to, message) = (pool.clone(), reason.clone(), to.clone(), message.clone());
            EvictionRow { pool, reason, to, pods: *pods, message }
        };
        self.rows.iter().map(row).collect()
    }

    /// The pods that went since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> Vec<EvictionRow> {
        let before = |row: &EvictionRow| {
            let kind = Kind { pool: row.pool.clone(), reason: row.reason.clone(), to: row.to.clone() };
            earlier.rows.get(&kind).map_or(0, |gone| gone.pods)
        };
        let fewer =
            self.rows().into_iter().map(|row| EvictionRow { pods: row.pods - before(&row).min(row.pods), ..row });
        fewer.filter(|row| row.pods > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eviction(message: String) -> Eviction {
        Eviction { reason: "Reclaimed".into(), message }
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
