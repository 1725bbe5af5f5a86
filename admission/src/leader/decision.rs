//! What an admission was decided on, as it is kept on the pod (`weir.dev/decided-on`), and the sentence that follows
//! from it.
//!
//! The record is written with the removal of the gate, in one write, so that it can never be lost. The sentence is made
//! from it once the watch shows the gate gone, by the leader of that time: the one that decided may have ended.

use serde_json::json;
use weir_api::gang;
use weir_api::pod::{Decision, Figure};
use weir_model::Amount;
use weir_queue::{Admission, DecidedOn, Grounds, Time};

use crate::convert::{moment, written};

/// The record of a decision, in base units, so that anyone can add it up.
#[must_use]
pub fn record(admission: &Admission, epoch: i64, now: Time) -> String {
    let figures = admission.decided_on.iter().map(|DecidedOn { pool, dim, entitlement, usage, beyond, asked }| {
        let mut figure = json!({ "pool": pool.0, "resource": dim, "entitlement": entitlement.units(),
            "usage": usage.units(), "asked": asked.units() });
        if !beyond.is_zero() {
            figure["beyond"] = beyond.units().into();
        }
        figure
    });
    let mut record = json!({ "epoch": epoch, "round": admission.round, "at": now.millis(),
        "pods": admission.pods.len(), "figures": figures.collect::<Vec<_>>() });
    if let Some(why) = &admission.would_have {
        record["wouldHave"] = format!("waited ({}): {why}", why.reason().as_str()).into();
    }
    record.to_string()
}

/// The record of an admission that an earlier leader decided; the figures ended with that leader.
#[must_use]
pub fn finishing(epoch: i64, now: Time) -> String {
    json!({ "epoch": epoch, "at": now.millis(), "finishes": "what an earlier leader recorded" }).to_string()
}

/// What a gang's status says of a record: the figures of its own pool. `None` where the record has none.
///
/// ```
/// use weir_admission::leader::decision::decided_on;
/// let record = r#"{"epoch":7,"at":1000,"figures":[{"pool":"labs","resource":"cpu","entitlement":8000,"usage":2000,"asked":500}]}"#;
/// let decided = decided_on("labs", record).unwrap();
/// assert_eq!((decided.epoch, &*decided.resources[0].requested.0), (7, "500m"));
/// assert_eq!(decided_on("labs", r#"{"epoch":8,"finishes":"what an earlier leader recorded"}"#), None);
/// ```
#[must_use]
pub fn decided_on(pool: &str, record: &str) -> Option<gang::DecidedOn> {
    let Decision { epoch, at, figures, .. } = serde_json::from_str(record).ok()?;
    let own = figures.into_iter().filter(|figure| figure.pool == pool);
    let resource = |Figure { pool: _, resource, entitlement, usage, beyond: _, asked }: Figure| {
        let [entitlement, usage, requested] =
            [entitlement, usage, asked].map(|units| written(&resource, Amount::new(units)));
        gang::DecidedResource { name: resource, entitlement, usage, requested }
    };
    let resources: Vec<gang::DecidedResource> = own.map(resource).collect();
    let time = Some(moment(Time::from_millis(at)));
    (!resources.is_empty()).then_some(gang::DecidedOn { epoch, time, resources })
}

/// Why a pod was admitted to a pool, in numbers where the record has some.
///
/// ```
/// use weir_admission::leader::decision::sentence;
/// use weir_queue::Grounds;
/// let record = r#"{"figures":[{"pool":"labs","resource":"nvidia.com/gpu","entitlement":8,"usage":2,"asked":4}]}"#;
/// assert_eq!(
///     sentence(Grounds::WithinEntitlement, "labs", Some(record)),
///     "labs used 2 nvidia.com/gpu, 4 came on top, and 8 are what it is entitled to",
/// );
/// assert_eq!(sentence(Grounds::Adopted, "labs", None), "ran before admission was there");
/// ```
#[must_use]
pub fn sentence(grounds: Grounds, pool: &str, record: Option<&str>) -> String {
    match grounds {
        Grounds::Adopted => return "ran before admission was there".to_owned(),
        Grounds::Released => return "released by hand".to_owned(),
        Grounds::WithinEntitlement | Grounds::OnLoan | Grounds::Replacement | Grounds::NotEnforced => {}
    }
    // Only the sidecar writes a record; one that cannot be read says nothing.
    let Decision { figures, would_have, .. } =
        record.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if let Some(would_have) = would_have {
        return format!("not enforced; it would have {would_have}");
    }
    let own = figures.into_iter().find(|figure| figure.pool == pool);
    own.map_or_else(
        || format!("admitted to pool {pool:?}"),
        |Figure { pool, resource, entitlement, usage, beyond: _, asked }| {
            let [usage, asked, entitlement] =
                [usage, asked, entitlement].map(|units| written(&resource, Amount::new(units)).0);
            format!("{pool} used {usage} {resource}, {asked} came on top, and {entitlement} are what it is entitled to")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_figures_names_the_pool() {
        let finished = finishing(7, Time::from_millis(1000));
        assert_eq!(sentence(Grounds::WithinEntitlement, "labs", Some(&finished)), "admitted to pool \"labs\"");
        assert_eq!(sentence(Grounds::OnLoan, "labs", Some("no JSON")), "admitted to pool \"labs\"");
    }

    #[test]
    fn what_is_not_enforced_says_what_would_have_been() {
        let record = r#"{"wouldHave":"waited (ExceedsMaxQuota): asks for 8"}"#;
        assert_eq!(
            sentence(Grounds::NotEnforced, "labs", Some(record)),
            "not enforced; it would have waited (ExceedsMaxQuota): asks for 8"
        );
    }
}
