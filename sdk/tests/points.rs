//! Every extension point and every question of the handle, once, against the fake host: what goes in, what
//! comes out, and what becomes of an answer that makes no sense.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::cell::RefCell;
use std::time::Duration;

use kube_scheduler_guest::testing::{FakeHost, node, pod};
use kube_scheduler_guest::{
    Bind, Code, CycleState, Filter, Node, NodeStatuses, Nomination, Permission, Permit, Pod, PostBind, PostFilter,
    PreBind, PreFilter, PreFilterExtensions, PreFilterResult, PreScore, Reserve, Score, Status, handle,
};

/// A plugin that does at each point what the pod's label of that name says.
#[derive(Default)]
struct Puppet {
    seen: RefCell<Vec<String>>,
}

impl Puppet {
    fn note(&self, what: &str) {
        self.seen.borrow_mut().push(what.to_string());
    }

    fn verdict(&self, point: &str, pod: &Pod) -> Status {
        self.note(point);
        match pod.labels().get(point) {
            None => Status::success(),
            Some(reason) => Status::unschedulable(reason.to_string()),
        }
    }
}

impl Filter for Puppet {
    fn filter(&self, pod: &Pod, _: &Node) -> Status {
        self.verdict("filter", pod)
    }
}

impl Score for Puppet {
    fn score(&self, pod: &Pod, _: &Node) -> Result<i32, Status> {
        pod.labels().get("score").and_then(|score| score.parse().ok()).ok_or_else(|| Status::error("no score"))
    }
}

impl PreScore for Puppet {
    fn pre_score(&self, pod: &Pod) -> Status {
        let mut nodes = match handle::filtered_nodes() {
            Ok(nodes) => nodes,
            Err(status) => return status,
        };
        nodes.sort();
        self.note(&nodes.join("+"));
        self.verdict("prescore", pod)
    }
}

impl PreFilter for Puppet {
    fn pre_filter(&self, pod: &Pod) -> Result<PreFilterResult, Status> {
        Ok(match pod.labels().get("nodes") {
            None => PreFilterResult::AllNodes,
            Some(names) => PreFilterResult::Only(names.split_terminator('+').map(String::from).collect()),
        })
    }
}

impl PreFilterExtensions for Puppet {
    fn add_pod(&self, _: &Pod, added: &Pod, node: &Node) -> Status {
        self.note(&format!("{} to {}", added.name(), node.name()));
        Status::success()
    }

    fn remove_pod(&self, _: &Pod, removed: &Pod, node: &Node) -> Status {
        self.note(&format!("{} from {}", removed.name(), node.name()));
        Status::success()
    }
}

impl PostFilter for Puppet {
    fn post_filter(&self, _: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status> {
        let hopeful = nodes.iter().find(|(_, code)| *code == Code::Unschedulable);
        hopeful.map(|(node, _)| Nomination::Node(node.into())).ok_or_else(|| Status::unschedulable("nobody can go"))
    }
}

impl Reserve for Puppet {
    fn reserve(&self, pod: &Pod, _: &Node) -> Status {
        self.verdict("reserve", pod)
    }

    fn unreserve(&self, _: &Pod, node: &Node) {
        self.note(&format!("unreserve in {}", node.labels().get("zone").unwrap_or("nowhere")));
    }
}

impl Permit for Puppet {
    fn permit(&self, pod: &Pod, _: &Node) -> Permission {
        match pod.labels().get("permit") {
            None => Permission::Allow,
            Some("wait") => Permission::Wait(Duration::from_secs(3)),
            Some(reason) => Permission::Reject(Status::unschedulable(reason.to_string())),
        }
    }
}

impl PreBind for Puppet {
    fn pre_bind(&self, pod: &Pod, _: &Node) -> Status {
        self.verdict("prebind", pod)
    }
}

impl Bind for Puppet {
    fn bind(&self, pod: &Pod, _: &Node) -> Status {
        self.verdict("bind", pod)
    }
}

impl PostBind for Puppet {
    fn post_bind(&self, pod: &Pod, node: &Node) {
        self.note(&format!("{} is on {}", pod.name(), node.name()));
    }
}

fn host() -> FakeHost {
    FakeHost::new().pod(pod("p")).node(node("n").label("zone", "a"))
}

fn labelled(key: &str, value: &str) -> FakeHost {
    FakeHost::new().pod(pod("p").label(key, value)).node(node("n"))
}

#[test]
fn what_a_plugin_answers_is_what_the_host_gets() {
    let puppet = Puppet::default();
    assert_eq!(host().filter(&puppet, "n"), Status::success());
    assert_eq!(labelled("filter", "no").filter(&puppet, "n"), Status::unschedulable("no"));
    assert_eq!(labelled("reserve", "no").reserve(&puppet, "n"), Status::unschedulable("no"));
    assert_eq!(labelled("prebind", "no").pre_bind(&puppet, "n"), Status::unschedulable("no"));
    assert_eq!(labelled("bind", "no").bind(&puppet, "n"), Status::unschedulable("no"));
    assert_eq!(host().permit(&puppet, "n"), Permission::Allow);
    assert_eq!(labelled("permit", "wait").permit(&puppet, "n"), Permission::Wait(Duration::from_secs(3)));
    assert_eq!(labelled("permit", "no").permit(&puppet, "n"), Permission::Reject(Status::unschedulable("no")));
}

#[test]
fn a_score_outside_0_to_100_is_brought_to_the_nearest_bound() {
    let scores = ["-7", "0", "73", "100", "2000"].map(|score| labelled("score", score).score(&Puppet::default(), "n"));
    assert_eq!(scores, [Ok(0), Ok(0), Ok(73), Ok(100), Ok(100)]);
    assert_eq!(host().score(&Puppet::default(), "n"), Err(Status::error("no score")));
}

#[test]
fn no_node_worth_looking_at_is_a_verdict_because_the_abi_would_read_it_as_all() {
    let puppet = Puppet::default();
    assert_eq!(host().pre_filter(&puppet), Ok(PreFilterResult::AllNodes));
    let some = PreFilterResult::Only(vec!["a".into(), "b".into()]);
    assert_eq!(labelled("nodes", "a+b").pre_filter(&puppet), Ok(some));
    assert_eq!(labelled("nodes", "").pre_filter(&puppet), Err(Status::unresolvable("no node is worth looking at")));
}

#[test]
fn a_post_filter_sees_what_became_of_each_node() {
    let mixed = host().node_status("a", Code::UnschedulableAndUnresolvable).node_status("b", Code::Unschedulable);
    let lost = host().node_status("a", Code::UnschedulableAndUnresolvable);
    let puppet = Puppet::default();
    assert_eq!({ mixed }.post_filter(&puppet), Ok(Nomination::Node("b".into())));
    assert_eq!({ lost }.post_filter(&puppet), Err(Status::unschedulable("nobody can go")));
}

#[test]
fn points_that_answer_nothing_are_told_and_what_goes_wrong_is_logged() {
    let puppet = Puppet::default();
    let mut host = host().target_pod(pod("other"));
    assert_eq!(host.add_pod(&puppet, "n"), Status::success());
    assert_eq!(host.remove_pod(&puppet, "n"), Status::success());
    host.unreserve(&puppet, "n");
    host.post_bind(&puppet, "n");
    assert_eq!(*puppet.seen.borrow(), ["other to n", "other from n", "unreserve in a", "p is on n"]);
    assert!(host.log().is_empty());
    host.unreserve(&puppet, "gone");
    assert!(host.log()[0].1.contains("the host knows no node `gone`"), "{:?}", host.log());
}

#[test]
fn a_pre_score_sees_the_nodes_that_passed() {
    let puppet = Puppet::default();
    assert_eq!(host().filtered_nodes(&["b", "a"]).pre_score(&puppet), Status::success());
    assert_eq!(*puppet.seen.borrow(), ["a+b", "prescore"]);
}

/// Asks the handle for something, inside a call.
fn ask<T>(mut host: FakeHost, question: impl FnOnce() -> T) -> T {
    struct Asking<F>(RefCell<Option<F>>);
    impl<F: FnOnce()> Filter for Asking<F> {
        fn filter(&self, _: &Pod, _: &Node) -> Status {
            self.0.take().unwrap()();
            Status::success()
        }
    }
    let mut answer = None;
    let asked = host.filter(&Asking(RefCell::new(Some(|| answer = Some(question())))), "n");
    assert_eq!(asked, Status::success());
    answer.unwrap()
}

#[test]
fn the_handle_answers_about_nodes_and_images() {
    let zones = ask(host().node(node("m").label("zone", "b")), || {
        let mut zones: Vec<_> = handle::nodes()
            .unwrap()
            .iter()
            .map(|node| format!("{} in {}", node.name(), node.labels().get("zone").unwrap()))
            .collect();
        zones.sort();
        zones
    });
    assert_eq!(zones, ["m in b", "n in a"]);
    let json = r#"{"registry.example/train:1": {"Size": 1000, "NumNodes": 3}}"#;
    let images = ask(host().node_images("n", json), || handle::node_images("n").unwrap());
    assert_eq!(images, [("registry.example/train:1".into(), handle::ImageState { size: 1000, num_nodes: 3 })]);
    // A host that knows no such node writes null.
    assert!(ask(host().node_images("n", "null"), || handle::node_images("n").unwrap()).is_empty());
    let gone = ask(host(), || handle::node("gone").err());
    assert_eq!(gone, Some(Status::error("node: the host knows no node `gone`")));
}

#[test]
fn an_answer_that_is_not_the_json_it_should_be_is_an_error_with_the_name_of_the_call() {
    let broken =
        ask(host().node_images("n", r#"{"x": {"Size": "large", "NumNodes": 1}}"#), || handle::node_images("n"));
    let message = "nodeImageStates.x.Size: expected i64, found the text \"large\"";
    assert_eq!(broken, Err(Status::error(message)));
}

#[test]
fn pods_that_wait_for_permission_can_be_read_and_rejected() {
    let waiting = || host().waiting_pod(pod("w").uid("1"));
    assert_eq!(ask(waiting(), || handle::waiting_pod("1").map(|pod| pod.name().to_string())), Some("w".into()));
    assert!(ask(waiting(), || handle::waiting_pod("2").is_none()));
    assert!(ask(waiting(), || handle::reject_waiting_pod("1") && !handle::reject_waiting_pod("1")));
    assert!(!ask(host().no_waiting_pods(), || handle::reject_waiting_pod("1")));
}

#[test]
fn what_is_kept_for_a_cycle_is_gone_in_the_next_and_for_another_pod() {
    #[derive(Default)]
    struct Counting {
        made: RefCell<u32>,
        kept: CycleState<u32>,
    }
    impl Filter for Counting {
        fn filter(&self, pod: &Pod, _: &Node) -> Status {
            let make = || {
                *self.made.borrow_mut() += 1;
                *self.made.borrow()
            };
            Status::unschedulable(self.kept.with(pod, make, |kept| kept.to_string()))
        }
    }
    let counting = Counting::default();
    let mut host = FakeHost::new().pod(pod("p").uid("1"));
    let mut made = Vec::new();
    for begins in [true, false, false, true, false] {
        if begins {
            host.begin_cycle();
        }
        made.push(host.filter(&counting, "n").reason().to_string());
    }
    let mut host = host.pod(pod("q").uid("2"));
    made.push(host.filter(&counting, "n").reason().to_string());
    assert_eq!(made, ["1", "1", "1", "2", "2", "3"]);
}

#[test]
fn a_pod_that_is_missing_or_no_pod_is_an_error_with_the_name_of_the_call() {
    let mut none = FakeHost::new().pod_bytes(vec![]);
    assert_eq!(none.filter(&Puppet::default(), "n"), Status::error("currentPod: the host has no pod for this call"));
    let mut broken = FakeHost::new().pod_bytes(vec![0x0a, 0xff]);
    let said = "protobuf: the host's answer is cut off or no protobuf message";
    assert_eq!(broken.filter(&Puppet::default(), "n"), Status::error(said));
    // The next call starts afresh.
    assert_eq!(host().filter(&Puppet::default(), "n"), Status::success());
}

#[test]
fn a_pod_is_read_out_of_its_wrapping_and_nobody_can_wrap_one_that_exists() {
    let told = pod("").label("nodes", "a").build();
    let message = String::from_utf8(told.protobuf().to_vec()).unwrap();
    let wrapped = |name: &str| pod(name).annotation("pod.weir.dev/packed", &message).label("nodes", "none").build();
    assert_eq!(wrapped("").labels().get("nodes"), Some("none"), "as bytes it is what it is");
    let seen = |pod: Pod| FakeHost::new().pod(pod).pre_filter(&Puppet::default());
    assert_eq!(seen(wrapped("")), Ok(PreFilterResult::Only(vec!["a".into()])));
    assert_eq!(seen(wrapped("liar")), Ok(PreFilterResult::Only(vec!["none".into()])));
}

/// Tells which pod and which node it sees.
struct Sees;

impl Filter for Sees {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        Status::unschedulable(format!("{} on {} in {:?}", pod.name(), node.name(), node.labels().get("zone")))
    }
}

#[test]
fn a_node_is_read_in_place_of_its_name_and_the_pod_is_asked_for_when_it_is_another_one() {
    let message = String::from_utf8(node("n1").label("zone", "a").build().protobuf().to_vec()).unwrap();
    let (same, another) = (format!("\u{2}{message}"), format!("\u{1}\u{2}{message}"));
    // This host knows no node, and panics when it is asked for one.
    let mut host = FakeHost::new().pod(pod("p"));
    assert_eq!(host.filter(&Sees, &another).reason(), "p on n1 in Some(\"a\")");
    let mut host = host.pod(pod("q"));
    assert_eq!(host.filter(&Sees, &same).reason(), "p on n1 in Some(\"a\")");
    assert_eq!(host.filter(&Sees, &another).reason(), "q on n1 in Some(\"a\")");
    // A host that tells a name says nothing about the pod.
    let mut host = host.pod(pod("r")).node(node("n2"));
    assert_eq!(host.filter(&Sees, "n2").reason(), "r on n2 in None");
    assert_eq!(host.filter(&Sees, &same).reason(), "r on n1 in Some(\"a\")");
}

#[test]
fn a_pod_that_was_wrong_is_asked_for_again() {
    let message = String::from_utf8(node("n1").build().protobuf().to_vec()).unwrap();
    let mut broken = FakeHost::new().pod_bytes(vec![0x0a, 0xff]);
    let said = Status::error("protobuf: the host's answer is cut off or no protobuf message");
    assert_eq!(broken.filter(&Sees, &format!("\u{1}\u{2}{message}")), said);
    assert_eq!(broken.filter(&Sees, &format!("\u{2}{message}")), said);
    assert_eq!(broken.pod(pod("p")).filter(&Sees, &format!("\u{2}{message}")).reason(), "p on n1 in None");
}

#[test]
#[should_panic(expected = "the plugin called `currentPod`, which this test did not set")]
fn a_question_that_the_test_did_not_foresee_panics() {
    FakeHost::new().filter(&Puppet::default(), "n");
}
