//! Why a pod has to go, as it says itself before it goes.

/// The condition of a pod that has to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// The reason of the condition.
    pub reason: String,
    /// The sentence, with the numbers and the claimant.
    pub message: String,
}

impl Eviction {
    /// The pool that gets the room, where the sentence names one.
    ///
    /// ```
    /// use weir_demo::cluster_state::eviction::Eviction;
    /// let message = "pool \"b\" uses 8 cpu and is entitled to 4; the room goes to pod default/p of pool \"a\"";
    /// let eviction = Eviction { reason: "Reclaimed".into(), message: message.into() };
    /// assert_eq!(eviction.to(), Some("a"));
    /// ```
    #[must_use]
    pub fn to(&self) -> Option<&str> {
        // Every sentence about a claimant names its pool once, in quotes, after these words.
        let (_, after) = self.message.split_once(" of pool \"")?;
        after.split('"').next().filter(|pool| !pool.is_empty())
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
    fn the_sentences_that_the_sidecar_writes_name_the_pool_that_gets_the_room() {
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
}
