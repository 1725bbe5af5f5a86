//! The record of a decision, as it stands in the annotation `weir.dev/decided-on`.

use serde::Deserialize;

/// What was recorded with the removal of a gate. A field that a record does not have is at its default.
///
/// ```
/// use weir_api::pod::Decision;
/// let by_hand: Decision = serde_json::from_str(r#"{"releasedBy": "ada", "because": "INC-7"}"#).unwrap();
/// assert_eq!((by_hand.released_by.as_deref(), by_hand.epoch), (Some("ada"), 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Decision {
    /// The epoch of the [`AdmissionRound`](crate::AdmissionRound).
    pub epoch: i64,
    /// The round of the leader's queue, unique within an epoch.
    pub round: u64,
    /// When it was decided, in milliseconds since 1970; 0 where that is not recorded.
    pub at: u64,
    /// How many pods were admitted together.
    pub pods: usize,
    /// For the pool and each ancestor, dimension by dimension, what the pool was entitled to and used just before.
    pub figures: Vec<Figure>,
    /// What would have become of the pod if admission were enforced; set where it is not.
    pub would_have: Option<String>,
    /// Set where a new leader carries out what an earlier one recorded; the figures went with that one.
    pub finishes: Option<String>,
    /// The user who removed the gate by hand.
    pub released_by: Option<String>,
    /// The reason that this user gave.
    pub because: Option<String>,
}

/// One pool in one dimension, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Figure {
    /// The pool or ancestor; empty for the cluster.
    pub pool: String,
    /// The dimension.
    pub resource: String,
    /// What the pool was entitled to.
    pub entitlement: i64,
    /// What the pool used just before.
    pub usage: i64,
    /// The part of the usage that pools below used beyond their own entitlements; it did not count here.
    #[serde(default)]
    pub beyond: i64,
    /// What came on top.
    pub asked: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_an_admission_is_read_whole() {
        let text = r#"{"at":1000,"epoch":7,"figures":[{"asked":8,"entitlement":40,"pool":"research",
            "resource":"nvidia.com/gpu","usage":12}],"pods":2,"round":3}"#;
        let (pool, resource) = ("research".to_owned(), "nvidia.com/gpu".to_owned());
        let figure = Figure { pool, resource, entitlement: 40, usage: 12, beyond: 0, asked: 8 };
        let expected = Decision { epoch: 7, round: 3, at: 1000, pods: 2, figures: vec![figure], ..Decision::default() };
        assert_eq!(serde_json::from_str::<Decision>(text).unwrap(), expected);
    }

    #[test]
    fn a_figure_without_its_usage_is_no_record() {
        let text = r#"{"figures":[{"pool":"a","resource":"cpu","entitlement":1,"asked":1}]}"#;
        assert!(serde_json::from_str::<Decision>(text).is_err());
    }
}
