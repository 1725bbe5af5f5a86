//! `kubectl weir break-glass`: removes every gate by hand, so that a cluster runs on while Weir does not.
//!
//! Needs the API server and nothing else: not the sidecar, not the custom resources. The policy that guards
//! gates lets a user with the verb `release` on `resourcepools.weir.dev` remove them, and the API server's
//! audit log has every removal. `plan` decides what is written, this file writes it.

mod plan;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use weir_api::{GROUP, PodInfo, names};

use crate::cluster::{Cluster, ClusterArgs, Format, print_json, say};
use plan::{Release, Selection};

const EXAMPLES: &str = "Examples:
  kubectl weir break-glass --dry-run                       the pods that would be released
  kubectl weir break-glass --reason 'sidecar down, INC-7'  all of them, after typing the cluster's name
  kubectl weir break-glass -n team --yes                   one namespace, without asking
  kubectl weir break-glass --pool research --yes           one pool

Released pods go to the scheduler at once, whatever their pool is entitled to: each keeps the annotation
weir.dev/admitted-as: Released, the condition weir.dev/Admitted with the reason Released, and an event that names the
user. Pods that are created afterwards wait again as long as the webhook is there; to let them pass too, set
enforce: false, or delete the MutatingWebhookConfiguration and the ValidatingAdmissionPolicyBinding weir-admission.
Needs the verb release on resourcepools.weir.dev, and patch on pods and pods/status.";

/// How many gates are removed at a time.
const AT_A_TIME: usize = 32;
/// How often a removal is tried when the pod changes in between.
const ATTEMPTS: usize = 5;
/// How often the progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct BreakGlassArgs {
    /// Release this namespace only
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Release pods of this pool only; may be given several times
    #[arg(long, value_name = "POOL")]
    pool: Vec<String>,
    /// Why; it stands on every pod and event
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Count the pods that would be released, and release none
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    dry_run: bool,
    /// Pods that waited and were selected.
    selected: usize,
    released: usize,
    /// Pods that were gone, or released otherwise, before their turn.
    gone: usize,
    /// One sentence each.
    failed: Vec<String>,
    seconds: f64,
}

pub(crate) async fn run(args: &BreakGlassArgs) -> Result<()> {
    let cluster = Cluster::of(&args.cluster).await?;
    let selection = Selection { namespace: args.namespace.clone(), pools: args.pool.clone() };
    let pods = gated(&cluster, &selection).await?;
    let mut outcome =
        Outcome { dry_run: args.dry_run, selected: pods.len(), released: 0, gone: 0, failed: Vec::new(), seconds: 0.0 };
    eprint!("{}", plan::summary(&pods, &cluster.name));
    if pods.is_empty() || args.dry_run {
        return answer(args, &outcome);
    }
    may_release(&cluster).await?;
    if !args.yes {
        confirm(&cluster.name)?;
    }
    let user = whoami(&cluster).await?;
    let release = Release { user, because: args.reason.clone() };
    let began = Instant::now();
    release_all(&cluster, &pods, &release, &mut outcome).await;
    outcome.seconds = began.elapsed().as_secs_f64();
    answer(args, &outcome)
}

/// The pods that wait and are selected. All pods are looked at: a label may be missing where the webhook was.
async fn gated(cluster: &Cluster, selection: &Selection) -> Result<Vec<Pod>> {
    let pods = match &selection.namespace {
        Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let unbound = ListParams::default().fields("spec.nodeName=");
    let mut pods: Vec<Pod> = cluster.list(pods, "pods", unbound).await?;
    pods.retain(|pod| selection.takes(pod));
    Ok(pods)
}

/// Asks the API server before anything is changed, so that a release does not stop half way.
async fn may_release(cluster: &Cluster) -> Result<()> {
    let attributes = ResourceAttributes {
        group: Some(GROUP.to_owned()),
        resource: Some("resourcepools".to_owned()),
        verb: Some(names::RELEASE_VERB.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| cluster.explain("create", "selfsubjectaccessreviews", &error))?;
    if answer.status.is_some_and(|status| status.allowed) {
        return Ok(());
    }
    bail!(
        "you may not release pods in cluster {}; ask for the verb {} on resourcepools.{GROUP}",
        cluster.name,
        names::RELEASE_VERB
    )
}

fn confirm(cluster: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; say --yes to release them without asking, or --dry-run to look");
    }
    eprint!("type the name of the cluster ({cluster}) to release them: ");
    io::stderr().flush()?;
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).context("read the answer")?;
    if typed.trim() != cluster {
        bail!("that is not {cluster}; no pod was released");
    }
    Ok(())
}

async fn whoami(cluster: &Cluster) -> Result<String> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let answer = answer.map_err(|error| cluster.explain("create", "selfsubjectreviews", &error))?;
    Ok(answer.status.and_then(|status| status.user_info?.username).unwrap_or_else(|| "an unknown user".to_owned()))
}

async fn release_all(cluster: &Cluster, pods: &[Pod], release: &Release, outcome: &mut Outcome) {
    let (began, mut shown) = (Instant::now(), Instant::now());
    let watched = io::stderr().is_terminal();
    let each =
        pods.iter().map(|pod| async move { (PodInfo::of(pod).full_name(), one(cluster, pod.clone(), release).await) });
    let mut all = stream::iter(each).buffer_unordered(AT_A_TIME);
    while let Some((pod, result)) = all.next().await {
        match result {
            Ok(true) => outcome.released += 1,
            Ok(false) => outcome.gone += 1,
            Err(error) => outcome.failed.push(format!("{pod}: {error:#}")),
        }
        let done = outcome.released + outcome.gone + outcome.failed.len();
        if watched && (shown.elapsed() > SHOWN_EVERY || done == pods.len()) {
            shown = Instant::now();
            let rate = done as f64 / began.elapsed().as_secs_f64().max(0.001);
            eprint!("\r{done} of {} released, {rate:.0} pods/s ", pods.len());
        }
    }
    if watched {
        eprintln!();
    }
}

/// Releases one pod; false when there is nothing left to release.
async fn one(cluster: &Cluster, mut pod: Pod, release: &Release) -> Result<bool> {
    let namespace = pod.namespace().unwrap_or_default();
    let (name, uid) = (pod.name_any(), pod.uid());
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    let params = PatchParams { field_manager: Some(names::CLI.to_owned()), ..PatchParams::default() };
    for _ in 0..ATTEMPTS {
        match pods.patch(&name, &params, &Patch::Merge(release.gate_removal(&pod))).await {
            Ok(_) => {
                // The pod runs already; that it cannot be told why is worth a sentence, but it is released.
                let told = pods.patch_status(&name, &params, &Patch::Strategic(release.condition(&pod))).await;
                told.context("it is released, but its condition was not written")?;
                let events: Api<Event> = Api::namespaced(cluster.client.clone(), &namespace);
                let event = events.create(&PostParams::default(), &release.event(&pod)).await;
                event.context("it is released, but its event was not written")?;
                return Ok(true);
            }
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(kube::Error::Api(status)) if status.code == 409 => match pods.get_opt(&name).await? {
                Some(fresh) if fresh.uid() == uid && PodInfo::of(&fresh).waits() => pod = fresh,
                _ => return Ok(false),
            },
            Err(error) => return Err(cluster.explain("patch", "pods", &error)),
        }
    }
    bail!("it changed {ATTEMPTS} times in between; try again")
}

fn answer(args: &BreakGlassArgs, outcome: &Outcome) -> Result<()> {
    match args.output {
        Format::Json => print_json(outcome)?,
        Format::Text if outcome.dry_run || outcome.selected == 0 => {}
        Format::Text => {
            let Outcome { released, gone, seconds, .. } = outcome;
            let others = if *gone > 0 { format!(", {gone} needed it no more") } else { String::new() };
            say(&format!("released {released} pods in {seconds:.1} s{others}\n"))?;
        }
    }
    if outcome.failed.is_empty() {
        return Ok(());
    }
    let first = outcome.failed.iter().take(5).cloned().collect::<Vec<_>>().join("\n  ");
    bail!("{} pods were not released; run it again for those:\n  {first}", outcome.failed.len())
}
