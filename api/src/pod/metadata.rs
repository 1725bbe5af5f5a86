//! What a pod says in its labels and annotations, under every key that is accepted, with contradictions as errors.
//!
//! A pod may say a thing by our key and by one of another system; keys that agree count once. Keys that differ are
//! an error with a sentence for the pod, which then waits: guessing which of the two was meant would admit the pod
//! to the wrong pool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::keys::{
    AnnouncedGang, gang_labels, gang_size_annotations, pool_annotations, preemptible_annotations, value,
};
use crate::names;
use crate::round::MAX_ENTRIES;

/// A sentence about what a pod says: it names the keys and says what to do.
pub type Contradiction = String;

/// The pool that a pod names, by annotation or, with `compat`, by the queue label of another system.
///
/// # Errors
/// Two keys name different pools.
pub fn pool(meta: &ObjectMeta, compat: Compat) -> Result<Option<&str>, Contradiction> {
    let labels = names::POOL_COMPAT_LABELS.iter().filter(|_| compat == Compat::On);
    let said = pool_annotations().map(|key| (key, value(meta.annotations.as_ref(), key)));
    agreed(said.chain(labels.map(|&key| (key, value(meta.labels.as_ref(), key)))))
}

/// Whether the queue labels of other systems count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// They name a pool.
    On,
    /// They name nothing.
    Off,
}

/// Whether a pod says that it may be taken away; `None` when it does not say.
///
/// # Errors
/// Two keys differ, or a value is neither `true` nor `false`.
pub fn preemptible(meta: &ObjectMeta) -> Result<Option<bool>, Contradiction> {
    match agreed(preemptible_annotations().map(|key| (key, value(meta.annotations.as_ref(), key))))? {
        None => Ok(None),
        Some(names::TRUE) => Ok(Some(true)),
        Some(names::FALSE) => Ok(Some(false)),
        Some(other) => Err(format!("annotation {}: {other:?} is neither \"true\" nor \"false\"", names::PREEMPTIBLE)),
    }
}

/// What a pod's pool and its PodGroup say of its gang.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GangHints<'a> {
    /// A label key whose value names the gang of pods that announce a size and no name.
    pub gang_by: Option<&'a str>,
    /// How many members the PodGroup asks for that the pod's label names; none where it does not exist.
    pub group: Option<u32>,
}

/// The name of the PodGroup that a pod says it belongs to.
#[must_use]
pub fn pod_group(meta: &ObjectMeta) -> Option<&str> {
    value(meta.labels.as_ref(), names::POD_GROUP)
}

/// Whether others say which gang a pod belongs to: its PodGroup, or, where it names none, its pool by a label or by the
/// controller of the pod.
#[must_use]
pub fn gang_is_said_by_others(meta: &ObjectMeta) -> bool {
    let names_one = gang_labels().any(|key| value(meta.labels.as_ref(), key).is_some());
    let has_size = gang_size_annotations().any(|key| value(meta.annotations.as_ref(), key).is_some());
    pod_group(meta).is_some() || (!names_one && (has_size || is_of_ray_cluster(meta)))
}

/// Whether a pod belongs to a RayCluster.
fn is_of_ray_cluster(meta: &ObjectMeta) -> bool {
    let of_ray = |owner: &OwnerReference| owner.kind == "RayCluster" && owner.api_version.starts_with("ray.io/");
    meta.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && of_ray(owner))
}

/// The gang that a pod says it belongs to.
///
/// # Errors
/// A name without a size or a size without a name, two keys that differ, a size that is no number or larger
/// than what can be admitted in one piece, or a PodGroup that does not exist.
pub fn gang<'a>(meta: &'a ObjectMeta, hints: GangHints<'_>) -> Result<Option<AnnouncedGang<'a>>, Contradiction> {
    let GangHints { gang_by, group } = hints;
    let grouped = pod_group(meta);
    if let (Some(name), None) = (grouped, group) {
        let key = names::POD_GROUP;
        return Err(format!(
            "label {key} names the PodGroup {name:?}, which does not exist; create it or leave the label out"
        ));
    }
    let members = group.filter(|_| grouped.is_some()).map(|members| members.to_string());
    let labels = gang_labels().map(|key| (key, value(meta.labels.as_ref(), key)));
    let name = agreed(labels.chain([(names::POD_GROUP, grouped)]))?;
    let sizes = gang_size_annotations().map(|key| (key, value(meta.annotations.as_ref(), key)));
    let size = agreed(sizes.chain([(names::POD_GROUP, members.as_deref())]))?;
    let by_pool = gang_by.and_then(|key| value(meta.labels.as_ref(), key));
    match (name.or(by_pool.filter(|_| size.is_some())), size) {
        (None, None) => Ok(None),
        (Some(name), Some(size)) => match size.parse::<u32>() {
            Ok(size @ 1..) if u64::from(size) <= MAX_ENTRIES => Ok(Some(AnnouncedGang { name, size })),
            Ok(size @ 1..) => Err(format!(
                "annotation {}: {size} members are announced, and at most {MAX_ENTRIES} pods can be admitted in one \
                 piece; make several gangs of it",
                names::GANG_SIZE
            )),
            _ => Err(format!("annotation {}: {size:?} is not a whole number of at least 1", names::GANG_SIZE)),
        },
        (Some(name), None) => Err(format!(
            "label {} names the gang {name:?} and annotation {} is missing; say how many members it has",
            names::GANG,
            names::GANG_SIZE
        )),
        (None, Some(size)) => Err(format!(
            "annotation {} announces {size} members and label {} is missing; name the gang",
            names::GANG_SIZE,
            names::GANG
        )),
    }
}

/// The one value of all keys that have one.
fn agreed<'a>(said: impl Iterator<Item = (&'static str, Option<&'a str>)>) -> Result<Option<&'a str>, Contradiction> {
    let mut first: Option<(&str, &str)> = None;
    for (key, value) in said.filter_map(|(key, value)| Some((key, value?))) {
        match first {
            None => first = Some((key, value)),
            Some((other, known)) if known != value => {
                return Err(format!("{other} says {known:?} and {key} says {value:?}; keep one of them"));
            }
            Some(_) => {}
        }
    }
    Ok(first.map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> ObjectMeta {
        let map = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect());
        ObjectMeta { labels: map(labels), annotations: map(annotations), ..ObjectMeta::default() }
    }

    #[test]
    fn the_keys_of_the_described_system_are_accepted_as_they_are() {
        let pod = meta(
            &[("gang-member", "train")],
            &[("resource-pool", "research"), ("number-gang-members", "8"), ("preemptible", "true")],
        );
        assert_eq!(pool(&pod, Compat::Off), Ok(Some("research")));
        assert_eq!(preemptible(&pod), Ok(Some(true)));
        assert_eq!(gang(&pod, GangHints::default()), Ok(Some(AnnouncedGang { name: "train", size: 8 })));
    }

    #[test]
    fn two_keys_that_say_the_same_say_it_once_and_two_that_differ_are_a_contradiction() {
        let same = meta(&[], &[("weir.dev/pool", "a"), ("resource-pool", "a")]);
        let differ = meta(&[], &[("weir.dev/pool", "a"), ("resource-pool", "b")]);
        assert_eq!(pool(&same, Compat::Off), Ok(Some("a")));
        assert_eq!(
            pool(&differ, Compat::Off),
            Err("weir.dev/pool says \"a\" and resource-pool says \"b\"; keep one of them".to_owned())
        );
    }

    #[test]
    fn queue_labels_of_other_systems_count_only_where_they_are_asked_for() {
        let pod = meta(&[("kueue.x-k8s.io/queue-name", "team")], &[]);
        assert_eq!(pool(&pod, Compat::Off), Ok(None));
        assert_eq!(pool(&pod, Compat::On), Ok(Some("team")));
    }

    #[test]
    fn a_gang_needs_a_name_and_a_size_that_is_a_number() {
        let sentence = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
            gang(&meta(labels, annotations), GangHints::default()).unwrap_err()
        };
        assert!(sentence(&[("weir.dev/gang", "g")], &[]).contains("weir.dev/gang-size is missing"));
        assert!(sentence(&[], &[("weir.dev/gang-size", "4")]).contains("weir.dev/gang is missing"));
        for size in ["0", "-1", "many", "1.5", ""] {
            let wrong = sentence(&[("weir.dev/gang", "g")], &[("weir.dev/gang-size", size)]);
            assert!(wrong.contains("is not a whole number of at least 1"), "{wrong}");
        }
    }

    #[test]
    fn a_gang_that_no_record_can_hold_is_told_so() {
        let large = meta(&[("weir.dev/gang", "g")], &[("weir.dev/gang-size", "4097")]);
        let sentence = gang(&large, GangHints::default()).unwrap_err();
        assert!(sentence.contains("at most 4096 pods can be admitted in one piece"), "{sentence}");
    }

    #[test]
    fn a_pod_group_names_the_gang_and_its_object_says_how_large_it_is() {
        let pod = meta(&[("scheduling.x-k8s.io/pod-group", "train")], &[]);
        let of = |group| gang(&pod, GangHints { gang_by: None, group });
        assert_eq!(of(Some(4)), Ok(Some(AnnouncedGang { name: "train", size: 4 })));
        assert!(of(None).unwrap_err().contains("which does not exist"));
        let both = meta(&[("scheduling.x-k8s.io/pod-group", "train")], &[("weir.dev/gang-size", "5")]);
        let sentence = gang(&both, GangHints { gang_by: None, group: Some(4) }).unwrap_err();
        assert!(sentence.contains("keep one of them"), "{sentence}");
    }

    #[test]
    fn a_pool_may_name_gangs_by_a_label_of_pods_that_announce_a_size() {
        let by = GangHints { gang_by: Some("ray.io/cluster"), group: None };
        let announced = meta(&[("ray.io/cluster", "train")], &[("weir.dev/gang-size", "4")]);
        let silent = meta(&[("ray.io/cluster", "train")], &[]);
        assert_eq!(gang(&announced, by), Ok(Some(AnnouncedGang { name: "train", size: 4 })));
        assert_eq!(gang(&silent, by), Ok(None));
    }
}
