//! Labels, annotations, gates and the other well-known strings that Weir reads and writes.
//!
//! Ours are qualified with `weir.dev/`. The plain keys beside them are those that users of the system that
//! Weir follows already write; both are accepted, and where both stand on one pod and differ the pod stays
//! gated with a condition that says so. Nothing else in the workspace spells such a string out: a test
//! refuses it. The names of dimensions are in [`dimension`](crate::dimension), reasons in
//! [`reason`](crate::reason).

/// The prefix of every key of ours.
pub const PREFIX: &str = "weir.dev/";

/// The pool of a pod: an annotation that users write, and a label that the webhook mirrors it to so that
/// selectors and metrics can join on it. On a namespace, the annotation is the default of its pods that ask
/// for admission; it asks for nothing by itself.
pub const POOL: &str = "weir.dev/pool";
/// Annotations that are accepted for [`POOL`].
pub const POOL_ALIASES: &[&str] = &["resource-pool"];
/// Labels that are accepted for [`POOL`] when the configuration turns `compat` on.
pub const POOL_COMPAT_LABELS: &[&str] = &["kueue.x-k8s.io/queue-name", "kai.scheduler/queue"];

/// The scheduler name by which a pod asks for admission. The webhook replaces it by
/// [`SCHEDULER`] at creation, because it cannot be changed later.
pub const ADMISSION_SCHEDULER: &str = "kube-resource-manager-scheduler";
/// The profile that places admitted pods. Naming it directly asks for admission too.
pub const SCHEDULER: &str = "weir-scheduler";
/// The scheduler of a cluster that names none; a managed pod that names it gets [`SCHEDULER`].
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// Annotation: the scheduler name that the pod was created with, where the webhook replaced it.
pub const REQUESTED_SCHEDULER: &str = "weir.dev/requested-scheduler";
/// Label of a namespace: with the value [`TRUE`] all its pods ask for admission.
pub const MANAGED: &str = "weir.dev/managed";

/// The scheduling gate. Present: the pod waits. Removing it is the admission.
pub const GATE: &str = "weir.dev/admission";

/// Label: the gang of a pod. Together with [`GANG_SIZE`]; one without the other is a mistake.
pub const GANG: &str = "weir.dev/gang";
/// Annotation: how many members the gang has, a whole number of at least 1.
pub const GANG_SIZE: &str = "weir.dev/gang-size";
/// Pairs of a label for [`GANG`] and an annotation for [`GANG_SIZE`] that are accepted in their place.
pub const GANG_ALIASES: &[(&str, &str)] = &[
    ("gang-member", "number-gang-members"),
    ("kueue.x-k8s.io/pod-group-name", "kueue.x-k8s.io/pod-group-total-count"),
];
/// Annotation of a pod or namespace: a label key whose value names the gang of pods. With [`RAY_CLUSTER`], what
/// the RayCluster says is the size of the gang, and its pods announce nothing. A pool says it for all its pods in
/// `spec.defaults.gangBy`.
pub const GANG_BY: &str = "weir.dev/gang-by";
/// Label: the PodGroup of a pod; its object holds the size.
pub const POD_GROUP: &str = "scheduling.x-k8s.io/pod-group";
/// The API group of PodGroups.
pub const POD_GROUP_API: &str = "scheduling.x-k8s.io";

/// Annotation: [`TRUE`] means that the pod may be taken away to bring its pool back to its entitlement.
pub const PREEMPTIBLE: &str = "weir.dev/preemptible";
/// Annotations that are accepted for [`PREEMPTIBLE`].
pub const PREEMPTIBLE_ALIASES: &[&str] = &["preemptible"];
/// Annotation of a namespace: what holds for its pods that do not say [`PREEMPTIBLE`].
pub const DEFAULT_PREEMPTIBLE: &str = "weir.dev/default-preemptible";

/// Label: the job that a pod works for, by which its figures are added up. The sidecar writes the name of the
/// RayJob, which KubeRay leaves on the RayCluster, to the pods that do not say.
pub const JOB: &str = "weir.dev/job";

/// The value of a switch that is on.
pub const TRUE: &str = "true";
/// The value of a switch that is off.
pub const FALSE: &str = "false";

/// Node selector: the GPU model that a pod names, and the label of nodes that have it. The configuration
/// may name another key.
pub const GPU_MODEL: &str = "gpu-node-label-model";
/// The same as labelled by NVIDIA's GPU feature discovery; accepted as a configured key.
pub const GPU_PRODUCT: &str = "nvidia.com/gpu.product";

/// Annotation: the round that admitted the pod, its pool's entitlement and usage then, as JSON (`DecidedOn` of
/// `weir_api`). Written with the removal of the gate, so that there is no admission without it.
pub const DECIDED_ON: &str = "weir.dev/decided-on";
/// Annotation: why the gate was removed, one of [`Grounds`](crate::reason::Grounds). Written with the
/// removal of the gate; the condition follows.
pub const ADMITTED_AS: &str = "weir.dev/admitted-as";

/// Annotation: the versions of the plugins that decided where the pod went, as a JSON object from a plugin's name to
/// its module's digest, shortened. Written by the scheduler with the binding.
pub const PLACED_BY: &str = "weir.dev/placed-by";

/// The prefix under which the scheduler host tells a plugin what is requested on a node and its fresh load.
/// Real annotations of this prefix are dropped first.
pub const NODE_PREFIX: &str = "node.weir.dev/";

/// Finalizer of a pool that pods are in.
pub const POOL_FINALIZER: &str = "weir.dev/pool-in-use";
/// Field manager and `reportingController` of the sidecar, and the name of its lease.
pub const ADMISSION: &str = "weir-admission";
/// Field manager of what people do with the command line.
pub const CLI: &str = "weir-cli";
/// The name of the one `AdmissionRound`.
pub const ROUND: &str = "weir";
/// The pool of pods that name none, in a fresh install.
pub const DEFAULT_POOL: &str = "default";
/// The verb on `resourcepools` that lets an administrator remove gates by hand; see `weir break-glass`.
pub const RELEASE_VERB: &str = "release";
/// Selects the ConfigMaps in which each replica of the scheduler reports what it has in force.
pub const REPORT_SELECTOR: &str = "weir.dev/component=plugins";
/// The key of such a report, as JSON.
pub const REPORT_KEY: &str = "plugins.json";
/// The namespace that Weir is installed in, unless the configuration says otherwise.
pub const NAMESPACE: &str = "weir-system";
/// Annotation of a ConfigMap that holds modules: the digest of each, as a JSON object by key. For people and for
/// `kubectl diff`, which shows no binary data; the scheduler computes its own.
pub const PLUGIN_DIGESTS: &str = "weir.dev/plugin-digests";

/// What the API version of every object of KubeRay begins with.
pub const RAY_API: &str = "ray.io/";
/// The kind of the object that makes the pods of a Ray cluster.
pub const RAY_CLUSTER_KIND: &str = "RayCluster";
/// Label of KubeRay: the RayCluster that a pod belongs to.
pub const RAY_CLUSTER: &str = "ray.io/cluster";
/// Label of KubeRay: `head` or `worker`.
pub const RAY_NODE_TYPE: &str = "ray.io/node-type";
/// The value of [`RAY_NODE_TYPE`] of a head.
pub const RAY_HEAD: &str = "head";
/// Label of KubeRay: the worker group of a pod.
pub const RAY_GROUP: &str = "ray.io/group";
/// Label of KubeRay, on the RayCluster: the RayJob or RayService that made it.
pub const RAY_ORIGIN: &str = "ray.io/originated-from-cr-name";
/// Label of KubeRay, on the RayCluster: which of the two [`RAY_ORIGIN`] is.
pub const RAY_ORIGIN_KIND: &str = "ray.io/originated-from-crd";
/// The value of [`RAY_ORIGIN_KIND`] of a RayJob.
pub const RAY_JOB_KIND: &str = "RayJob";

#[cfg(test)]
mod tests {
    use super::*;

    /// What the API server takes as a qualified name: a DNS subdomain and a name of at most 63 characters.
    fn is_qualified(key: &str) -> bool {
        let (prefix, name) = key.split_once('/').unwrap_or(("", key));
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        plain(prefix) && plain(name) && (1..=63).contains(&name.len())
    }

    #[test]
    fn every_key_is_one_that_the_api_server_takes() {
        let ours = [POOL, MANAGED, GATE, GANG, GANG_SIZE, PREEMPTIBLE, DEFAULT_PREEMPTIBLE, REQUESTED_SCHEDULER];
        let component = REPORT_SELECTOR.split_once('=').unwrap().0;
        let more = [DECIDED_ON, ADMITTED_AS, POOL_FINALIZER, GANG_BY, JOB, component, PLUGIN_DIGESTS];
        for key in ours.into_iter().chain(more) {
            assert!(is_qualified(key) && key.starts_with(PREFIX), "{key}");
        }
        let pairs = GANG_ALIASES.iter().flat_map(|&(label, size)| [label, size]);
        let single = [POOL_ALIASES, POOL_COMPAT_LABELS, PREEMPTIBLE_ALIASES].into_iter().flatten().copied();
        for key in pairs.chain(single).chain([POD_GROUP, GPU_MODEL, GPU_PRODUCT]) {
            assert!(is_qualified(key), "{key}");
        }
    }
}
