//! What was reported, and what changed since: at most once a second, behind the gates and the conditions of pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use weir_api::gang::DecidedOn;
use weir_api::pool::{ResourcePool, ResourcePoolStatus};
use weir_queue::{Admission, Time};

use super::pool_conditions::{Problem, Warning, warnings};
use super::view::{OverIn, View};
use super::{gangs, metrics, pool_conditions, pools};
use crate::client::{FinalizerWrite, GangWrite, Outcome};
use crate::convert::name::NamespacedName;
use crate::leader::decision;
use crate::leader::pod_event::PodEvent;
use crate::leader::round_record::RoundRecord;
use crate::leader::watch_state::pod_cache::{PodCache, PodState};
use crate::metrics::Metrics;

/// How often figures are written at most.
const EVERY: Duration = Duration::from_secs(1);

/// What was reported, and what changed since.
#[derive(Debug, Default)]
pub(in crate::leader) struct Status {
    /// Pools that say something that cannot be read, with the sentence.
    invalid: BTreeMap<String, String>,
    /// Since when a pool has been above its entitlement in a dimension while something waits for it.
    over: BTreeMap<OverIn, Time>,
    /// Gangs that changed since the last report.
    touched: BTreeSet<NamespacedName>,
    /// What was written of pools.
    pools: HashMap<String, ResourcePoolStatus>,
    /// What was wrong with pools at the last report.
    problems: HashMap<String, BTreeSet<Problem>>,
    /// What was written of gangs.
    gangs: HashMap<NamespacedName, GangWrite>,
    /// What gangs were admitted on.
    decided: HashMap<NamespacedName, DecidedOn>,
    /// When figures were last reported.
    last: Time,
}

/// A write that is due.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::leader) enum StatusWrite {
    /// Of the status of a pool.
    Pool {
        /// The pool.
        name: String,
        /// Its status.
        status: Box<ResourcePoolStatus>,
    },
    /// Of the finalizers of a pool.
    Finalizers(FinalizerWrite),
    /// Of an event about a pool.
    Warning(Warning),
    /// Of a gang.
    Gang(GangWrite),
}

impl Status {
    /// Notes which pools say something that cannot be read.
    pub(in crate::leader) fn on_pools(&mut self, invalid: BTreeMap<String, String>) {
        self.invalid = invalid;
    }

    /// Since when a pool has been above its entitlement; none once it no longer is.
    pub(in crate::leader) fn on_over(&mut self, over: OverIn, since: Option<Time>) {
        match since {
            Some(since) => drop(self.over.insert(over, since)),
            None => drop(self.over.remove(&over)),
        }
    }

    /// Takes in what happened to a pod: its gang is reported, also the gang that it was in before.
    pub(in crate::leader) fn on_event(&mut self, event: &PodEvent<'_>) {
        match event {
            PodEvent::Seen(seen) => {
                self.touch(Some(seen.state));
                self.touch(seen.before.as_ref());
                // A leader that ended may not have come to write on the Gang what it had decided on.
                if let (Some(standing), Some(gang)) = (seen.admission, &seen.state.gang)
                    && let Some(record) = standing.decision
                    && let Some(decided) = decision::decided_on(&seen.state.pool, record)
                    && self.decided.get(&gang.name).is_none_or(|known| known.epoch < decided.epoch)
                {
                    self.decided.insert(gang.name.clone(), decided);
                }
            }
            PodEvent::Gone { last, .. } => self.touch(last.as_ref()),
        }
    }

    /// A condition of a pod is being written, which its gang shows too.
    pub(in crate::leader) fn touch(&mut self, pod: Option<&PodState>) {
        self.touched.extend(pod.and_then(|pod| pod.gang.as_ref()).map(|gang| gang.name.clone()));
    }

    /// Notes what a gang is admitted on.
    pub(in crate::leader) fn on_admission(&mut self, admission: &Admission, record: &RoundRecord, pods: &PodCache) {
        let first = admission.pods.first().and_then(|(uid, _)| pods.get(*uid));
        let Some(gang) = first.and_then(|state| state.gang.as_ref()) else { return };
        self.touched.insert(gang.name.clone());
        let decided = gangs::decided_on(admission, record.epoch(), record.recorded());
        self.decided.insert(gang.name.clone(), decided);
    }

    /// Whether a report is due at this time.
    pub(in crate::leader) fn is_due(&self, now: Time) -> bool {
        now.since(self.last) >= EVERY
    }

    /// What has to be written so that it shows how things stand; the figures of metrics are set at once.
    pub(in crate::leader) fn due(&mut self, view: &View<'_>, metrics: &Metrics) -> Vec<StatusWrite> {
        self.last = view.now;
        let counts = pools::count(view);
        metrics::report(view, metrics);
        let over_reserved = pool_conditions::over_reserved(view.queue);
        let mut writes = Vec::new();
        for object in view.pools {
            let name = object.name_any();
            let conditions = pool_conditions::of(object, view, self.invalid.get(&name), over_reserved.get(&name));
            writes.extend(self.warnings(object, &conditions, metrics).map(StatusWrite::Warning));
            let status = pools::status(object, view, &counts, &self.over, conditions);
            let used = status.pending + status.admitted > 0;
            writes.extend(pools::hold_on_to(object, used).map(StatusWrite::Finalizers));
            if self.pools.get(&name) != Some(&status) {
                self.pools.insert(name.clone(), status.clone());
                writes.push(StatusWrite::Pool { name, status: Box::new(status) });
            }
        }
        for gang in std::mem::take(&mut self.touched) {
            writes.extend(self.gang(&gang, view).map(StatusWrite::Gang));
        }
        writes
    }

    /// Counts what is wrong with a pool, and returns an event about each problem that is new.
    fn warnings<'c>(
        &mut self,
        object: &'c ResourcePool,
        conditions: &'c [Condition],
        metrics: &Metrics,
    ) -> impl Iterator<Item = Warning> + use<'c> {
        let name = object.name_any();
        let problems: BTreeSet<Problem> = conditions.iter().filter_map(Problem::of).collect();
        problems.iter().for_each(|problem| problem.count(&name, metrics));
        let before = self.problems.insert(name, problems).unwrap_or_else(|| pool_conditions::standing(object));
        warnings(object, conditions, before)
    }

    /// The write after which a gang's object shows how it stands, where that changed.
    fn gang(&mut self, gang: &NamespacedName, view: &View<'_>) -> Option<GangWrite> {
        let members: Vec<&PodState> = view.pods.members(gang).collect();
        if members.is_empty() {
            self.gangs.remove(gang);
            self.decided.remove(gang);
            return Some(GangWrite::Delete(gang.clone()));
        }
        let write = GangWrite::Apply(gangs::object(gang, &members, self.decided.get(gang), (view.job)(gang))?);
        if self.gangs.get(gang) == Some(&write) {
            return None;
        }
        self.gangs.insert(gang.clone(), write.clone());
        Some(write)
    }

    /// Takes in the result of a write: what failed is written again with the next report.
    pub(in crate::leader) fn came_back(&mut self, write: &StatusWrite, outcome: Outcome) {
        let (Outcome::Failed(error) | Outcome::Refused(error)) = outcome else { return };
        match write {
            StatusWrite::Pool { name, .. } => {
                tracing::warn!(error, pool = name, "the status of a pool is not written; retrying");
                self.pools.remove(name);
            }
            StatusWrite::Gang(write) => {
                tracing::warn!(error, gang = %write.name(), "a gang is not written; retrying");
                self.gangs.remove(write.name());
                self.touched.insert(write.name().clone());
            }
            StatusWrite::Finalizers(FinalizerWrite { pool, .. }) => {
                tracing::warn!(error, pool, "the finalizer of a pool is not written; retrying");
            }
            StatusWrite::Warning(Warning { about, .. }) => {
                tracing::warn!(error, pool = about.name, "an event about a pool is not written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use weir_queue::{Event, Grounds, Queue};

    use super::*;
    use crate::convert::hosts::Rules;
    use crate::leader::fixture::{at, cache, member, uid, waiting};
    use crate::leader::pod_event::{PodSeen, StandingAdmission};

    /// A pool `research` that says this beside, and the queue that was told of it.
    fn research(change: Value) -> (Vec<Arc<ResourcePool>>, Queue) {
        let mut object = json!({ "apiVersion": "weir.dev/v1alpha1", "kind": "ResourcePool",
            "metadata": { "name": "research", "uid": "u" }, "spec": {} });
        json_patch::merge(&mut object, &change);
        let objects = vec![Arc::new(serde_json::from_value(object).unwrap())];
        let rules = Rules::new(&crate::config::Config::default(), Default::default()).unwrap();
        let mut queue = Queue::new(rules.hosts(), weir_queue::Config::default());
        queue.step(at(1), [Event::Pools(crate::convert::pool::pools(&objects).0)]);
        (objects, queue)
    }

    /// What is due at this time.
    fn due(status: &mut Status, pools: &[Arc<ResourcePool>], queue: &Queue, pods: &PodCache) -> Vec<StatusWrite> {
        let view = View { queue, pods, pools, job: &|_| Some("nightly".to_owned()), now: at(100) };
        status.due(&view, &Metrics::default())
    }

    fn seen(status: &mut Status, state: &PodState, decision: Option<&str>) {
        let admission = decision.map(|_| StandingAdmission { grounds: Grounds::WithinEntitlement, decision });
        status.on_event(&PodEvent::Seen(PodSeen { uid: uid(1), before: None, state, admission }));
    }

    #[test]
    fn a_status_is_written_once_and_again_when_that_failed() {
        let (mut status, pods) = (Status::default(), cache([]));
        let (pools, queue) = research(json!({}));
        assert!(status.is_due(at(100)));
        let write = due(&mut status, &pools, &queue, &pods).remove(0);
        assert!(matches!(&write, StatusWrite::Pool { name, .. } if name == "research"), "{write:?}");
        assert!(!status.is_due(at(100)), "at most once a second");
        assert_eq!(due(&mut status, &pools, &queue, &pods), []);
        status.came_back(&write, Outcome::Failed("reset".into()));
        assert_eq!(due(&mut status, &pools, &queue, &pods), [write]);
    }

    #[test]
    fn a_pool_that_pods_are_in_gets_the_finalizer_and_loses_it_when_they_end() {
        let mut status = Status::default();
        let ours = weir_api::names::POOL_FINALIZER;
        let held = json!({ "metadata": { "finalizers": ["other/one", ours], "resourceVersion": "7" } });
        let finalizers = |status: &mut Status, change: Value, pods: &PodCache| {
            let (pools, queue) = research(change);
            let writes = due(status, &pools, &queue, pods);
            writes.into_iter().find_map(|write| match write {
                StatusWrite::Finalizers(write) => Some((write.finalizers, write.version)),
                _ => None,
            })
        };
        let used = cache([waiting(1)]);
        let (first, _) = finalizers(&mut status, json!({}), &used).unwrap();
        assert_eq!(first, [ours]);
        assert_eq!(finalizers(&mut status, held.clone(), &used), None);
        let freed = Some((vec!["other/one".to_owned()], Some("7".to_owned())));
        assert_eq!(finalizers(&mut status, held, &cache([])), freed);
    }

    #[test]
    fn a_problem_of_a_pool_is_an_event_when_it_is_new() {
        let (mut status, pods) = (Status::default(), cache([]));
        let orphan = json!({ "spec": { "parent": "nowhere" } });
        let warnings = |status: &mut Status, change: &Value| {
            let (pools, queue) = research(change.clone());
            let writes = due(status, &pools, &queue, &pods).into_iter();
            let reason = |write| match write {
                StatusWrite::Warning(warning) => Some(warning.reason),
                _ => None,
            };
            writes.filter_map(reason).collect::<Vec<_>>()
        };
        assert_eq!(warnings(&mut status, &orphan), ["ParentNotFound"]);
        assert_eq!(warnings(&mut status, &orphan), Vec::<String>::new());
        assert_eq!(warnings(&mut status, &json!({})), Vec::<String>::new());
        assert_eq!(warnings(&mut status, &orphan), ["ParentNotFound"]);
    }

    #[test]
    fn a_gang_is_written_when_it_changes_and_deleted_with_its_last_pod() {
        let mut status = Status::default();
        let (pools, queue) = research(json!({}));
        let gang = |status: &mut Status, pods: &PodCache| {
            let writes = due(status, &pools, &queue, pods).into_iter();
            let gangs = |write| match write {
                StatusWrite::Gang(write) => Some(write),
                _ => None,
            };
            writes.filter_map(gangs).next()
        };
        let (first, pods) = (member(1, "g", 2), cache([member(1, "g", 2)]));
        let record = r#"{"epoch":7,"at":1000,"figures":[{"pool":"research","resource":"cpu","entitlement":8000,
            "usage":2000,"asked":500}]}"#;
        seen(&mut status, &first, Some(record));
        let Some(GangWrite::Apply(written)) = gang(&mut status, &pods) else { panic!("it is new") };
        assert_eq!(written.body["spec"], json!({ "size": 2, "pool": "research" }));
        assert_eq!(written.body["metadata"]["labels"], json!({ weir_api::names::JOB: "nightly" }));
        assert_eq!((&written.status["created"], &written.status["admitted"]), (&json!(1), &json!(0)));
        assert_eq!(written.status["decidedOn"]["epoch"], json!(7));
        seen(&mut status, &first, None);
        assert_eq!(gang(&mut status, &pods), None, "it stands as before");
        status.on_event(&PodEvent::Gone { uid: uid(1), last: Some(first) });
        let gone = NamespacedName::new("team", "g");
        assert_eq!(gang(&mut status, &cache([])), Some(GangWrite::Delete(gone.clone())));
        status.came_back(&StatusWrite::Gang(GangWrite::Delete(gone.clone())), Outcome::Failed("reset".into()));
        assert_eq!(gang(&mut status, &cache([])), Some(GangWrite::Delete(gone)));
    }

    #[test]
    fn a_gang_whose_name_no_object_can_have_is_not_written() {
        let mut status = Status::default();
        let (pools, queue) = research(json!({}));
        let state = member(1, "Train_1", 2);
        seen(&mut status, &state, None);
        let writes = due(&mut status, &pools, &queue, &cache([state]));
        assert!(writes.iter().all(|write| !matches!(write, StatusWrite::Gang(_))), "{writes:?}");
    }
}
