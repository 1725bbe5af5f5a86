package pluginhost

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/internal/wasmtest"
	"weir.dev/scheduler/module"
	"weir.dev/scheduler/report"
)

// startCandidate puts a candidate beside the module in force and waits until it is compared.
func (s *swapping) startCandidate(t *testing.T, guest *wasmtest.Module) {
	t.Helper()
	s.put(t, s.file+".shadow", guest.Bytes())
	digest := module.DigestOf(guest.Bytes())
	s.until(t, func() bool { candidate := s.report().Candidate; return candidate != nil && candidate.Digest == digest })
}

// until waits for what another goroutine does, which has to last: it is looked at now and then.
func (s *swapping) until(t *testing.T, done func() bool) {
	t.Helper()
	for given := givenUp(t); !done(); {
		select {
		case <-given:
			t.Fatalf("it does not come to that; the report says %+v, candidate %+v", s.report(), s.report().Candidate)
		case <-time.After(time.Millisecond):
		}
	}
}

// givenUp is when go test is about to give up itself, so that a slow machine fails no test and one that waits in vain
// says what for.
func givenUp(t *testing.T) <-chan time.Time {
	deadline, ok := t.Deadline()
	if !ok {
		return nil
	}
	return time.After(time.Until(deadline) - 10*time.Second)
}

// compared waits for that many comparisons.
func (s *swapping) compared(t *testing.T, comparisons uint64) report.Candidate {
	t.Helper()
	s.until(t, func() bool { return s.report().Candidate.Comparisons >= comparisons })
	return *s.report().Candidate
}

// wholeCycle asks about both nodes as kube-scheduler does, in one cycle.
func (s *swapping) wholeCycle(t *testing.T) (answers [2]*framework.Status) {
	t.Helper()
	state, pod := upstream.NewCycleState(), podOn("p", "")
	for i, name := range []string{"a", "trap"} {
		answers[i] = s.Filter(context.Background(), state, pod, info(t, s.handle, name))
	}
	return answers
}

func TestACandidateInTheShadowIsComparedAndChangesNothing(t *testing.T) {
	s := startSwapping(t, answering("no"), Args{})
	s.startCandidate(t, onlyOn(wasmtest.Const(3), wasmtest.SetGlobal, wasmtest.Trap).Pure()) // it traps on one node and lets pods onto the other
	for i, answer := range s.wholeCycle(t) {
		if answer.Code() != framework.Unschedulable || answer.Message() != "no" {
			t.Errorf("answer %d is %v %q", i, answer.Code(), answer.Message())
		}
	}
	candidate := s.compared(t, 2)
	if candidate.Disagreements != 2 || candidate.Failures != 1 || candidate.Mode != "Shadow" || candidate.Source != "file://"+s.file+".shadow" {
		t.Errorf("the report says %+v", candidate)
	}
	passes, traps := candidate.Examples[0], candidate.Examples[1]
	if passes.Node != "a" || passes.Pod != "default/p" || passes.Point != "filter" || passes.InForce != "Unschedulable: no" || passes.Candidate != "Success, score 0" {
		t.Errorf("the first example is %+v", passes)
	}
	if traps.Node != "trap" || !strings.Contains(traps.Candidate, "unreachable") {
		t.Errorf("the second example is %+v", traps)
	}
	if row := s.report(); row.Traps != 0 || row.Digest != module.DigestOf(answering("no").Bytes()) {
		t.Errorf("the module in force is charged with it: %+v", row)
	}
}

func TestACandidateThatAgreesIsCountedToo(t *testing.T) {
	s := startSwapping(t, answering("no"), Args{})
	s.startCandidate(t, answering("no, in other words"))
	s.wholeCycle(t)
	if candidate := s.compared(t, 2); candidate.Disagreements != 0 || len(candidate.Examples) != 0 {
		t.Errorf("the report says %+v", candidate)
	}
}

func TestScoresAreComparedAsNumbers(t *testing.T) {
	scoring := func(score int64) *wasmtest.Module {
		return wasmtest.New().Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(score<<32)).Pure()
	}
	s := startSwapping(t, scoring(10), Args{})
	s.startCandidate(t, scoring(20))
	score, status := s.Score(context.Background(), upstream.NewCycleState(), podOn("p", ""), info(t, s.handle, "a"))
	if score != 10 || !status.IsSuccess() {
		t.Errorf("it scores %d (%v)", score, status)
	}
	candidate := s.compared(t, 1)
	if example := candidate.Examples[0]; example.InForce != "Success, score 10" || example.Candidate != "Success, score 20" {
		t.Errorf("the example is %+v", example)
	}
}

func TestACandidateMayUseOnlyItsOwnTime(t *testing.T) {
	nodes := manyNodes(sampleNodes)
	s := startSwapping(t, answering("no"), Args{})
	const turns = 200_000_000 // more than the budget of a second on any machine
	m, host := wasmtest.WithHost()
	slow := m.Func("filter", i32, // it is quick with the self-test's node and those that the slot has seen
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(6), wasmtest.Equal,
		wasmtest.If(wasmtest.Const(turns), wasmtest.SetLocal, wasmtest.Forever(
			wasmtest.Local, wasmtest.Const(0), wasmtest.Equal, wasmtest.If(wasmtest.Const(1), wasmtest.SetGlobal, wasmtest.Trap),
			wasmtest.Local, wasmtest.Const(-1), wasmtest.Add, wasmtest.SetLocal)),
		wasmtest.Const(0)).Pure()
	s.startCandidate(t, slow)
	state, pod := upstream.NewCycleState(), podOn("p", "")
	for _, each := range nodes {
		node := upstream.NewNodeInfo()
		node.SetNode(each)
		if status := s.Filter(context.Background(), state, pod, node); status.Message() != "no" {
			t.Errorf("it is answered %v", status)
		}
	}
	s.until(t, func() bool {
		candidate := s.report().Candidate
		return candidate.Comparisons+candidate.Skipped == sampleNodes
	})
	if candidate := s.report().Candidate; candidate.Skipped == 0 {
		t.Errorf("nothing was skipped: %+v", candidate)
	}
}

func TestACandidateIsNeitherSeenNorHeardOutsideItsReport(t *testing.T) {
	heard := startSwapping(t, loud(), Args{SideEffects: []string{effectEvents}}) // as the module in force it is heard
	heard.ask(t, "a")
	if event := heard.event(t); !strings.Contains(event, "Loud") {
		t.Fatalf("the test shows nothing: %q", event)
	}
	s := startSwapping(t, answering("no"), Args{SideEffects: []string{effectEvents}})
	s.startCandidate(t, loud())
	s.wholeCycle(t)
	if candidate := s.compared(t, 2); candidate.Disagreements != 0 {
		t.Errorf("the report says %+v", candidate)
	}
	select {
	case event := <-s.recorder.Events:
		t.Errorf("there is an event: %q", event)
	default:
	}
}

// loud is a filter that writes an event and then rejects.
func loud() *wasmtest.Module {
	says := `{"RegardingReference":{"Kind":"Pod","Name":"p","Namespace":"default"},"Eventtype":"Normal","Reason":"Loud","Action":"Scheduling","Note":"candidate"}`
	m := wasmtest.New()
	eventf := m.Import("k8s.io/scheduler", "handle.eventrecorder.eventf", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32}, nil)
	return m.Func("filter", i32, stored(2048, says), wasmtest.Const(2048), wasmtest.Const(int32(len(says))), eventf, wasmtest.Const(2))
}

func TestThroughASilentHandleNoWaitingPodCanBeFoundOrRejectedAndNoneIsWoken(t *testing.T) {
	silent := silentHandle{nil} // whatever it passes on panics
	if silent.GetWaitingPod("u") != nil || silent.RejectWaitingPod("u") {
		t.Error("there is a waiting pod")
	}
	silent.IterateOverWaitingPods(func(framework.WaitingPod) { t.Error("there is a waiting pod") })
	silent.Activate(klog.Background(), map[string]*v1.Pod{"default/p": podOn("p", "")})
	silent.AddNominatedPod(klog.Background(), nil, nil)
	silent.UpdateNominatedPod(klog.Background(), nil, nil)
	silent.DeleteNominatedPodIfExists(nil)
}

func TestACandidateThatIsPromotedOrTakenAwayIsNotComparedAnyMore(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.startCandidate(t, answering("new"))
	s.replace(t, answering("new").Bytes())
	s.event(t)
	s.until(t, func() bool { return logged(s.report()) == "Loaded Shadowed InForce ShadowEnded" })
	if got := s.ask(t, "a").Message(); got != "new" || s.report().Candidate != nil {
		t.Errorf("it says %q, and the report %+v", got, s.report().Candidate)
	}

	s.startCandidate(t, answering("newer"))
	if err := os.Remove(s.file + ".shadow"); err != nil {
		t.Fatal(err)
	}
	s.until(t, func() bool { return s.report().Candidate == nil })
}

func TestACandidateThatCannotBeUsedIsNotComparedAndTheReportSaysWhy(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.put(t, s.file+".shadow", wasmtest.New().Func("filter", i32, wasmtest.Trap).Bytes())
	if event := s.event(t); !strings.Contains(event, "for the shadow: ") || !strings.Contains(event, "self-test failed") {
		t.Errorf("the event says %q", event)
	}
	if row := s.report(); row.Candidate != nil || row.LastSwap.Result != "Refused" || logged(row) != "Loaded Refused" {
		t.Errorf("the report says %+v", row)
	}
}

func TestAPluginInShadowModeDecidesNothingAndIsComparedWithItsAbsence(t *testing.T) {
	m := wasmtest.New()
	guest := m.Func("prefilter", i32, wasmtest.Const(0)).Func("filter", i32, wasmtest.Const(2)).
		Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(70<<32))
	s := startSwapping(t, guest, Args{Mode: ModeShadow})
	state, pod := upstream.NewCycleState(), podOn("p", "")
	_, preFilter := s.PreFilter(context.Background(), state, pod, nil)
	filter := s.Filter(context.Background(), state, pod, info(t, s.handle, "a"))
	score, scored := s.Score(context.Background(), state, pod, info(t, s.handle, "a"))
	if !preFilter.IsSuccess() || !filter.IsSuccess() || !scored.IsSuccess() || score != 0 {
		t.Errorf("it answers %v, %v and %d (%v)", preFilter, filter, score, scored)
	}
	candidate := s.compared(t, 3)
	if row := s.report(); row.Mode != "Shadow" || candidate.Disagreements != 2 {
		t.Errorf("the report says mode %s and %+v", row.Mode, candidate)
	}
}

func TestOfACycleTheCandidateSeesAFewNodesAndOfManyCyclesAFew(t *testing.T) {
	s := startSwapping(t, answering("no"), Args{})
	s.startCandidate(t, answering("not so"))
	nodes := make([]framework.NodeInfo, 100)
	for i := range nodes {
		nodes[i] = upstream.NewNodeInfo()
		nodes[i].SetNode(node(fmt.Sprintf("node-%d", i)))
	}
	began := time.Now()
	for range 20 {
		state, pod := upstream.NewCycleState(), podOn("p", "")
		for _, node := range nodes {
			s.Filter(context.Background(), state, pod, node)
		}
	}
	most := uint64(1+time.Since(began)/sampleEvery) * sampleNodes
	candidate := s.compared(t, sampleNodes)
	if sum := candidate.Comparisons + candidate.Skipped; sum > most {
		t.Errorf("%d answers of 2000 were taken, want at most %d", sum, most)
	}
}
