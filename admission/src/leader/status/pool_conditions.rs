//! What is wrong with pools: a condition with a sentence, an event when it changes, a metric while it lasts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use weir_api::condition;
use weir_api::pool::ResourcePool;
use weir_entitlement::Condition as Found;
use weir_model::{Amount, Dim, PoolError, PoolId};
use weir_queue::{Queue, Time};

use super::view::View;
use crate::client::About;
use crate::convert::{moment, written};
use crate::metrics::Metrics;

/// A condition of a pool that says that something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    condition: String,
    reason: String,
}

impl Problem {
    /// The problem that a condition tells of, if it does.
    pub(super) fn of(condition: &Condition) -> Option<Self> {
        let wrong = (condition.type_ == condition::READY) != (condition.status == "True");
        wrong.then(|| Self { condition: condition.type_.clone(), reason: condition.reason.clone() })
    }

    /// Sets the metric that shows it.
    pub(super) fn count(&self, pool: &str, metrics: &Metrics) {
        metrics.pool_condition(pool, &self.condition, &self.reason);
    }
}

/// An event about a problem of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) struct Warning {
    /// The pool.
    pub(in crate::leader) about: About,
    /// The reason of the condition.
    pub(in crate::leader) reason: String,
    /// Its message.
    pub(in crate::leader) message: String,
}

/// The problems that stand on a pool.
pub(super) fn standing(object: &ResourcePool) -> BTreeSet<Problem> {
    object.status.iter().flat_map(|status| &status.conditions).filter_map(Problem::of).collect()
}

/// An event about each problem that was not there before.
pub(super) fn warnings<'c>(
    object: &'c ResourcePool,
    conditions: &'c [Condition],
    before: BTreeSet<Problem>,
) -> impl Iterator<Item = Warning> + use<'c> {
    let new = move |one: &&Condition| Problem::of(one).is_some_and(|problem| !before.contains(&problem));
    let warning = |one: &Condition| {
        let about = About {
            api_version: ResourcePool::api_version(&()).into_owned(),
            kind: ResourcePool::kind(&()).into_owned(),
            namespace: String::new(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        };
        Warning { about, reason: one.reason.clone(), message: one.message.clone() }
    };
    conditions.iter().filter(new).map(warning)
}

/// What reserves more than there is, in sentences, by the pools that say so.
///
/// That the pools below a pool reserve too much stands on the pool; of the root, which has no object, on those right
/// below it that reserve the dimension.
pub(super) fn over_reserved(queue: &Queue) -> BTreeMap<String, String> {
    let (tree, dims) = (queue.pools().0, queue.dimensions());
    let reserves = |pool: PoolId, dim: Dim| {
        tree.parent(pool) == Some(PoolId::ROOT)
            && tree.listed(pool, dim).is_some_and(|spec| spec.reservation > Amount::ZERO)
    };
    let mut sentences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in queue.entitlements().conditions() {
        let Found::OverReserved { pool, dim, reserved, available } = found else { continue };
        let name = dims.name(dim);
        let [reserved, available] = [reserved, available].map(|amount| written(name, amount).0);
        let scaled = "; when all of it is asked for, each gets its part";
        if pool == PoolId::ROOT {
            let sentence = format!("{name}: the pools of the cluster reserve {reserved} of {available}{scaled}");
            for pool in tree.iter().filter(|&pool| reserves(pool, dim)) {
                sentences.entry(tree.name(pool).to_owned()).or_default().push(sentence.clone());
            }
        } else {
            let sentence = format!("{name}: the pools below reserve {reserved} of {available}{scaled}");
            sentences.entry(tree.name(pool).to_owned()).or_default().push(sentence);
        }
    }
    sentences.into_iter().map(|(pool, sentences)| (pool, sentences.join(". "))).collect()
}

/// The conditions of a pool as they are now; `invalid` and `over_reserved` are sentences about what it says.
pub(super) fn of(
    object: &ResourcePool,
    view: &View<'_>,
    invalid: Option<&String>,
    over_reserved: Option<&String>,
) -> Vec<Condition> {
    let name = object.name_any();
    let error = view.queue.pools().1.iter().find(|error| error.pool() == name);
    let (ready, reason, message) = match (error, invalid) {
        (_, Some(sentence)) => ("False", condition::Pool::Invalid, sentence.clone()),
        (Some(error), None) => ("False", reason_of(error), error.to_string()),
        (None, None) if object.metadata.deletion_timestamp.is_some() => {
            ("False", condition::Pool::Terminating, "deleted as soon as no pod is in it".to_owned())
        }
        (None, None) => ("True", condition::Pool::InTree, "takes part".to_owned()),
    };
    let mut conditions = vec![kept(object, condition::READY, ready, reason.as_str(), message, view.now)];
    if let Some(sentence) = over_reserved {
        let over = condition::OVER_RESERVED;
        conditions.push(kept(object, over, "True", over, sentence.clone(), view.now));
    }
    conditions
}

const fn reason_of(error: &PoolError) -> condition::Pool {
    match error {
        PoolError::MissingParent { .. } => condition::Pool::ParentNotFound,
        PoolError::Cycle { .. } => condition::Pool::ParentCycle,
        PoolError::EmptyName
        | PoolError::DuplicateName { .. }
        | PoolError::LimitBelowReservation { .. }
        | PoolError::DuplicateResource { .. } => condition::Pool::Invalid,
    }
}

/// A condition that keeps the time of its last transition as long as its status stays.
fn kept(object: &ResourcePool, type_: &str, status: &str, reason: &str, message: String, now: Time) -> Condition {
    let before = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let same = before.iter().find(|one| one.type_ == type_ && one.status == status);
    let now = || moment(Time::from_millis(now.millis() / 1000 * 1000));
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: object.metadata.generation,
        last_transition_time: same.map_or_else(now, |one| one.last_transition_time.clone()),
    }
}
