package pluginhost

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
)

// groupCycle is the state of a pod in the cycle of its group.
type groupCycle struct {
	framework.CycleState
	group framework.PodGroupCycleState
}

func (groupCycle) IsPodGroupSchedulingCycle() bool { return true }
func (g groupCycle) GetPodGroupSchedulingCycle() framework.PodGroupCycleState {
	return g.group
}

// theGroup is what kube-scheduler keeps for a group.
type theGroup struct{ framework.CycleState }

func (theGroup) GetParentPlacementCycleState() framework.PlacementCycleState { return nil }

func aGroup() framework.PodGroupCycleState { return theGroup{upstream.NewCycleState()} }

func memberOf(group framework.PodGroupCycleState) framework.CycleState {
	return groupCycle{upstream.NewCycleState(), group}
}

// Under one Generation kube-scheduler shows a node before and after the group's first pod is placed there.
func TestTheSecondMemberOfAGroupIsToldOfTheFirst(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, echo(), handle, 0)
	on := info(t, handle, "a").(*upstream.NodeInfo)
	requested := func(state framework.CycleState) string {
		status := plugin.Filter(t.Context(), state, podOn("member", "", "cpu", "2"), on)
		return told(t, status).Annotations["node.weir.dev/requested.cpu"]
	}
	if before := requested(upstream.NewCycleState()); before != "0" {
		t.Fatalf("the guest is told of %s milli-CPU on an empty node", before)
	}
	group := aGroup()
	first := requested(memberOf(group))
	generation := on.Generation
	addPod(on, podOn("first", "a", "cpu", "2"))
	on.Generation = generation
	second := requested(memberOf(group))
	if first != "0" || second != "2000" {
		t.Errorf("of the node the first member's guest is told %s milli-CPU and the second's %s, want 0 and 2000", first, second)
	}
}

func TestAGroupIsAnsweredByOneVersionThroughASwap(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	group := aGroup()
	on := info(t, s.handle, "a")
	ask := func(state framework.CycleState) string {
		return s.Filter(t.Context(), state, podOn("p", ""), on).Message()
	}
	before := ask(memberOf(group))
	s.replace(t, answering("new").Bytes())
	s.event(t)
	during, other := ask(memberOf(group)), ask(memberOf(aGroup()))
	if before != "old" || during != "old" || other != "new" {
		t.Errorf("the group is answered %q and, after the swap, %q; the next group %q", before, during, other)
	}
}

func TestPodsOfWhichTheSameIsToldHaveTheSameSignature(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	s := remembering(t, echo(), handle, 0)
	sign := func(of *slot, pod *v1.Pod) string {
		t.Helper()
		fragments, status := of.SignPod(t.Context(), pod)
		if !status.IsSuccess() || len(fragments) != 1 {
			t.Fatalf("it is signed %v (%v)", fragments, status)
		}
		return fragments[0].Key + "=" + fragments[0].Value.(string)
	}
	first, sibling, other := podOn("job-0", "", "cpu", "1"), podOn("job-1", "", "cpu", "1"), podOn("other", "", "cpu", "2")
	if sign(s, first) != sign(s, sibling) || sign(s, first) == sign(s, other) {
		t.Errorf("the signatures are %s, %s and %s", sign(s, first), sign(s, sibling), sign(s, other))
	}

	impure := start(t, wasmtest.NodeEcho(), handle).(framework.SignPlugin)
	if _, status := impure.SignPod(t.Context(), first); status.Code() != framework.Unschedulable {
		t.Errorf("a module that may answer each pod otherwise signs it: %v", status)
	}
}

// A CPU node would keep the score that it had before the last pod came.
func TestAPluginThatScoresSignsNoPod(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	scores := wasmtest.New().Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0)).Pure()
	s := remembering(t, scores, handle, 0)
	if _, status := s.SignPod(t.Context(), podOn("p", "", "cpu", "1")); status.Code() != framework.Unschedulable {
		t.Errorf("it is signed, so another pod's scores would be taken for its own: %v", status)
	}
}

func TestASwapChangesTheSignature(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	sign := func() any {
		fragments, _ := s.SignPod(t.Context(), podOn("p", ""))
		return fragments[0].Value
	}
	before := sign()
	s.replace(t, answering("new").Bytes())
	s.event(t)
	if sign() == before {
		t.Error("what the version before decided is taken for what the new one would")
	}
}

func TestPreBindIsSkippedForAModuleWithoutIt(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	for export, want := range map[string]framework.Code{"reserve": framework.Skip, "prebind": framework.Success} {
		plugin, err := testHost(clock.RealClock{}, 1).New(t.Context(), "Test",
			Args{AllowUnmetered: true, GuestURL: wasmtest.New().Func(export, i32, wasmtest.Const(0)).Write(t)}, handle)
		if err != nil {
			t.Fatal(err)
		}
		_, status := plugin.(framework.PreBindPlugin).PreBindPreFlight(t.Context(), upstream.NewCycleState(), podOn("p", ""), "a")
		if status.Code() != want {
			t.Errorf("a module with %s: %v", export, status)
		}
	}
}
