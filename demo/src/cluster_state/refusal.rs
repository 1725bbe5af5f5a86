//! Why the scheduler found no node, taken apart from its sentence.
//!
//! kube-scheduler says it in one line: `0/1523 nodes are available: 310 pod asks for GPUs…, 1213
//! Insufficient nvidia.com/gpu. preemption: …`. A plugin's reason may hold commas, brackets and digits of
//! its own, and other messages look different altogether, so a line is cut only where it is certain, and
//! what is not understood is kept as it is.

use std::collections::BTreeMap;

/// One pod's refusal: for each reason, how many nodes gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In the scheduler's order; the number is `None` where the message gives none.
    pub parts: Vec<(Option<u64>, String)>,
}

/// A reason that pods wait for, over all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// As the scheduler or a plugin says it.
    pub text: String,
    /// Pods that were told so, and wait.
    pub pods: usize,
    /// Nodes that say so, at most, to one of these pods; `None` where the message gives no number.
    pub nodes: Option<u64>,
}

impl Refusal {
    /// Takes a message apart.
    ///
    /// ```
    /// use weir_demo::cluster_state::refusal::Refusal;
    /// let refusal = Refusal::parse("0/5 nodes are available: 2 Insufficient cpu, 3 node(s) were unschedulable.");
    /// let parts = [(Some(2), "Insufficient cpu".into()), (Some(3), "node(s) were unschedulable".into())];
    /// assert_eq!(refusal.parts, parts);
    /// ```
    #[must_use]
    pub fn parse(message: &str) -> Self {
        let message = message.trim();
        let Some(reasons) = after_count(message) else {
            return Self { parts: vec![(None, message.to_owned())] };
        };
        let reasons = reasons.split(" preemption: ").next().unwrap_or(reasons);
        Self { parts: cut(reasons.trim().trim_end_matches('.')).map(counted).collect() }
    }

    /// The reason that tells most in one line: what there is too little of, because the other reasons are
    /// given by nodes that the pod was never meant for; without one, the reason of most nodes.
    #[must_use]
    pub fn telling(&self) -> &str {
        let short = self.parts.iter().find(|(_, text)| text.starts_with("Insufficient "));
        let most = || self.parts.iter().max_by_key(|(nodes, _)| *nodes);
        short.or_else(most).map_or("", |(_, text)| text)
    }
}

/// What follows `0/1523 nodes are available:`, if that is how it begins and something follows.
fn after_count(message: &str) -> Option<&str> {
    let (all, reasons) = message.strip_prefix("0/")?.split_once(" nodes are available:")?;
    let understood = !all.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit()) && !reasons.trim().is_empty();
    understood.then_some(reasons)
}

/// Cuts at each `, ` that a number follows.
fn cut(reasons: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(reasons);
    std::iter::from_fn(move || {
        let text = rest?;
        let comma = text.match_indices(", ").map(|(at, _)| at).find(|&at| number(&text[at + 2..]).is_some());
        let (first, after) = comma.map_or((text, None), |at| (&text[..at], Some(&text[at + 2..])));
        rest = after;
        Some(first)
    })
}

fn counted(part: &str) -> (Option<u64>, String) {
    number(part).map_or_else(|| (None, part.to_owned()), |(nodes, text)| (Some(nodes), text.to_owned()))
}

/// `12 Insufficient cpu` as 12 and the rest.
fn number(part: &str) -> Option<(u64, &str)> {
    let (digits, text) = part.split_once(' ')?;
    let nodes = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    nodes.map(|nodes| (nodes, text.trim()))
}

/// The reasons of many refusals, those of most pods first, then by text.
pub(super) fn grouped<'a>(refusals: impl Iterator<Item = &'a Refusal>) -> Vec<Reason> {
    let mut reasons: BTreeMap<&str, (usize, Option<u64>)> = BTreeMap::new();
    for (nodes, text) in refusals.flat_map(|refusal| &refusal.parts) {
        let (pods, most) = reasons.entry(text).or_default();
        *pods += 1;
        *most = (*most).max(*nodes);
    }
    let mut reasons: Vec<Reason> =
        reasons.into_iter().map(|(text, (pods, nodes))| Reason { text: text.to_owned(), pods, nodes }).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.pods));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(message: &str) -> Vec<(Option<u64>, String)> {
        Refusal::parse(message).parts
    }

    fn part(nodes: u64, text: &str) -> (Option<u64>, String) {
        (Some(nodes), text.into())
    }

    #[test]
    fn each_reason_comes_with_its_number_of_nodes() {
        let message = "0/1523 nodes are available: 1213 Insufficient nvidia.com/gpu, 310 pod asks for GPUs, \
                       the node has none. preemption: 0/1523 nodes are available: 1523 No preemption victims found.";
        assert_eq!(
            parts(message),
            [part(1213, "Insufficient nvidia.com/gpu"), part(310, "pod asks for GPUs, the node has none")]
        );
    }

    #[test]
    fn commas_and_digits_within_a_reason_do_not_cut_it() {
        let message = "0/3 nodes are available: 1 node(s) had untolerated taint {a: 1, b}, 2 needs 8, has 4.";
        assert_eq!(parts(message), [part(1, "node(s) had untolerated taint {a: 1, b}"), part(2, "needs 8, has 4")]);
    }

    #[test]
    fn in_one_line_a_shortage_tells_more_than_nodes_that_were_never_meant() {
        let telling = |message: &str| Refusal::parse(message).telling().to_owned();
        assert_eq!(telling("0/9 nodes are available: 8 pod asks for GPUs, 1 Insufficient cpu."), "Insufficient cpu");
        assert_eq!(telling("0/9 nodes are available: 2 node is cordoned, 7 pod asks for GPUs."), "pod asks for GPUs");
        assert_eq!(telling("no"), "no");
    }

    #[test]
    fn a_reason_without_a_number_is_kept_without_one() {
        let message = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
        assert_eq!(parts(message), [(None, "pod has unbound immediate PersistentVolumeClaims".into())]);
    }

    #[test]
    fn text_that_is_not_understood_is_kept_as_it_is() {
        for message in [
            "running \"GPUFilter\" filter plugin: wasm error: unreachable",
            "0/x nodes are available: 3 of them.",
            "0/3 nodes are available:",
            "0/",
            "no nodes available to schedule pods",
            "0/ナ nodes, é",
            "",
        ] {
            assert_eq!(parts(message), [(None, message.into())]);
        }
    }

    #[test]
    fn a_number_too_large_to_be_one_is_text() {
        let text = "99999999999999999999999 Insufficient cpu";
        assert_eq!(parts(&format!("0/3 nodes are available: {text}.")), [(None, text.into())]);
    }

    #[test]
    fn reasons_are_counted_over_pods_and_the_most_common_comes_first() {
        let refusals = [
            "0/9 nodes are available: 4 Insufficient cpu, 5 pod asks for no GPU.",
            "0/9 nodes are available: 3 Insufficient cpu, 5 pod asks for no GPU.",
            "0/9 nodes are available: 9 pod asks for no GPU.",
            "webhook said no",
        ]
        .map(Refusal::parse);
        let reason = |text: &str, pods, nodes| Reason { text: text.into(), pods, nodes };
        assert_eq!(
            grouped(refusals.iter()),
            [
                reason("pod asks for no GPU", 3, Some(9)),
                reason("Insufficient cpu", 2, Some(4)),
                reason("webhook said no", 1, None)
            ]
        );
    }
}
