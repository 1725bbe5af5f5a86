//! Writes a change and waits until every replica reports it, or one refuses it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use weir_api::names;

use super::holder::{Change, Module, Place, Versions};
use super::judge::{Judge, Progress, Wanted};
use super::report::Report;
use super::reports;
use crate::cluster::Cluster;
use crate::digest::{digest, short};

/// A change to one plugin.
pub(super) struct Wait<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) place: Place,
    pub(super) judge: Judge,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    wanted: Wanted,
    /// The replicas that reported it; empty when the command did not wait.
    pub(super) replicas: Vec<String>,
    pub(super) took: Duration,
}

/// What a change is about.
#[derive(Clone, Copy)]
enum Kind {
    InForce,
    Shadow,
    NoShadow,
}

impl Wait<'_> {
    /// Makes the change. With no patience it returns when the API server has it.
    pub(super) async fn change(&self, change: Change, patience: Duration) -> Result<Done> {
        let Place { namespace, name, .. } = &self.place;
        let found: Option<ConfigMap> = self.cluster.find(&self.api(), "configmaps", name).await?;
        let holder = found.with_context(|| {
            format!("there is no ConfigMap {namespace}/{name}; create it with kubectl create configmap {name} -n {namespace}")
        })?;
        let before = self.place.versions(&holder);
        let kind = Kind::of(&change);
        let after = before.clone().after(change).with_context(|| self.judge.plugin.clone())?;
        let wanted = kind.wanted(&after);
        let began = Instant::now();
        // The replicas report nothing new about a module that stands there already.
        let stands = after == before;
        let (written, judge) = match stands {
            true => (holder, self.judge.clone().without_memory()),
            false => (self.write(&holder, &after).await?, self.judge.clone()),
        };
        if patience.is_zero() {
            return Ok(Done { wanted, replicas: Vec::new(), took: began.elapsed() });
        }
        match self.outcome(&judge, &wanted, patience).await? {
            Ok(replicas) => Ok(Done { wanted, replicas, took: began.elapsed() }),
            Err(refusal) if stands => {
                let plugin = &self.judge.plugin;
                bail!(
                    "{plugin} was refused by {refusal}; ConfigMap {namespace}/{name} had it before, and still has: a \
                     scheduler that starts now does not, so roll it back"
                )
            }
            Err(refusal) => Err(self.put_back(&written, &before, &refusal).await),
        }
    }

    /// The replicas that have it, or the words of the one that refuses it.
    async fn outcome(&self, judge: &Judge, wanted: &Wanted, patience: Duration) -> Result<Result<Vec<String>, String>> {
        let mut seen = Vec::new();
        match tokio::time::timeout(patience, self.settled(&mut seen, judge, wanted)).await {
            Ok(outcome) => outcome,
            // A replica does not refuse again what it refused for another writer before.
            Err(_) => match judge.clone().without_memory().progress(&seen, wanted) {
                Progress::Refused(why) => Ok(Err(why)),
                Progress::Done(replicas) => Ok(Ok(replicas)),
                Progress::Waiting(waiting) => bail!(
                    "{plugin}: {} did not report the change within {} s; ConfigMap {}/{} has it, and it is in force where it \
                     is read; see `kubectl weir plugins log {plugin}`",
                    if waiting.is_empty() { "no replica".to_owned() } else { waiting.join(", ") },
                    patience.as_secs(),
                    self.place.namespace,
                    self.place.name,
                    plugin = self.judge.plugin,
                ),
            },
        }
    }

    /// Returns as soon as the reports tell. They are listed and then watched, so no report is missed.
    async fn settled(
        &self,
        seen: &mut Vec<Report>,
        judge: &Judge,
        wanted: &Wanted,
    ) -> Result<Result<Vec<String>, String>> {
        let mut reports = reports::watch(self.cluster);
        while let Some(now) = reports.next().await {
            *seen = now;
            match judge.progress(seen, wanted) {
                Progress::Waiting(_) => {}
                Progress::Done(replicas) => return Ok(Ok(replicas)),
                Progress::Refused(why) => return Ok(Err(why)),
            }
        }
        bail!("the watch of the reports ended")
    }

    async fn write(&self, holder: &ConfigMap, versions: &Versions) -> Result<ConfigMap> {
        let Place { namespace, name, .. } = &self.place;
        let patch = Patch::Merge(self.place.patch(holder, versions)?);
        let params = PatchParams { field_manager: Some(names::CLI.to_owned()), ..PatchParams::default() };
        match self.api().patch(name, &params, &patch).await {
            Ok(written) => Ok(written),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                bail!("ConfigMap {namespace}/{name} has changed meanwhile; look, and try again")
            }
            Err(error) => Err(self.cluster.explain("patch", "configmaps", &error)),
        }
    }

    /// What is refused does not stay in the ConfigMap: a scheduler that starts would find it there, and not start.
    async fn put_back(&self, written: &ConfigMap, before: &Versions, refusal: &str) -> anyhow::Error {
        let plugin = &self.judge.plugin;
        match self.write(written, before).await {
            Ok(_) => anyhow!("{plugin} was refused by {refusal}; the ConfigMap is as it was before"),
            Err(error) => anyhow!(
                "{plugin} was refused by {refusal}; and the ConfigMap could not be put back ({error:#}): a scheduler that \
                 starts now does not, so roll it back"
            ),
        }
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client.clone(), &self.place.namespace)
    }
}

impl Kind {
    fn of(change: &Change) -> Self {
        match change {
            Change::Push(_) | Change::Promote | Change::RollBack => Self::InForce,
            Change::Shadow(_) => Self::Shadow,
            Change::EndShadow => Self::NoShadow,
        }
    }

    fn wanted(self, after: &Versions) -> Wanted {
        let digest = |module: &Option<Module>| module.as_ref().map(|module| digest(&module.bytes)).unwrap_or_default();
        match self {
            Self::InForce => Wanted::InForce(digest(&after.current)),
            Self::Shadow => Wanted::InShadow(digest(&after.shadow)),
            Self::NoShadow => Wanted::NoShadow,
        }
    }
}

impl Done {
    /// Of the module that is now where it was wanted; none when a shadow was ended.
    pub(super) fn digest(&self) -> Option<&str> {
        match &self.wanted {
            Wanted::InForce(digest) | Wanted::InShadow(digest) => Some(digest),
            Wanted::NoShadow => None,
        }
    }

    /// In a sentence.
    pub(super) fn told(&self, plugin: &str) -> String {
        let what = match &self.wanted {
            Wanted::InForce(digest) => format!("{} is in force", short(digest)),
            Wanted::InShadow(digest) => format!("{} runs in the shadow", short(digest)),
            Wanted::NoShadow => "nothing runs in the shadow".to_owned(),
        };
        let seconds = self.took.as_secs_f64();
        match self.replicas.is_empty() {
            true => format!("{plugin}: written; it was not waited until {what}\n"),
            false => format!("{plugin}: {what} in {} after {seconds:.1} s\n", self.replicas.join(", ")),
        }
    }
}
