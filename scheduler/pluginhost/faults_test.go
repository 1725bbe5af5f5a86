package pluginhost

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	testingclock "k8s.io/utils/clock/testing"

	"weir.dev/scheduler/internal/wasmtest"
)

// aPodOfKind is a pod of a kind of its own.
func aPodOfKind(kind int) *v1.Pod {
	pod := podOn("p", "")
	pod.Labels = map[string]string{"kind": fmt.Sprint(kind)}
	return pod
}

// One odd pod used to make each of kube-scheduler's workers run out of fuel, which counted as many traps of the version.
func TestAPodWithWhichAModuleFailsCostsOneCallOnceAndTheVersionStays(t *testing.T) {
	s := startBounded(t, onlyOn(wasmtest.Forever()).Pure().Packed(enoughFuel), Args{})
	trap := info(t, s.handle, "trap")
	for range 3 { // cycles: it is tried again after each backoff
		state, pod := upstream.NewCycleState(), aPodOfKind(1)
		var calls sync.WaitGroup
		for range 16 {
			calls.Add(1)
			go func() {
				defer calls.Done()
				status := s.Filter(t.Context(), state, pod, trap)
				if status.Code() != framework.Error || !strings.Contains(status.Message(), "ran out of fuel") {
					t.Errorf("it is answered %v", status)
				}
			}()
		}
		calls.Wait()
	}
	if row := s.report(); row.Traps != 1 || row.LastSwap != nil {
		t.Errorf("the pod cost %d calls, and the report says %+v", row.Traps, row.LastSwap)
	}
	if status := s.Filter(t.Context(), upstream.NewCycleState(), aPodOfKind(2), info(t, s.handle, "a")); !status.IsSuccess() {
		t.Errorf("another pod is answered %v", status)
	}
}

func TestAModuleThatFailsOnSeveralKindsOfPodsIsRolledBack(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.replace(t, onlyOn(wasmtest.Trap).Pure().Bytes())
	s.event(t)
	for kind := range kindsToRollBack {
		s.Filter(t.Context(), upstream.NewCycleState(), aPodOfKind(kind), info(t, s.handle, "trap"))
	}
	if event := s.event(t); !strings.Contains(event, "failed on 3 kinds of pods") {
		t.Errorf("the event says %q", event)
	}
}

// A cycle of the version before may end after its fix is in force. What it does then is not held against the fix.
func TestAVersionIsNotRolledBackForWhatTheOneBeforeDid(t *testing.T) {
	s := startSwapping(t, answering("first"), Args{})
	s.replace(t, onlyOn(wasmtest.Trap).Pure().Bytes())
	s.event(t)
	var begun []framework.CycleState
	for kind := range kindsToRollBack {
		state := upstream.NewCycleState()
		s.Filter(t.Context(), state, aPodOfKind(kind), info(t, s.handle, "a"))
		begun = append(begun, state)
	}
	s.replace(t, answering("fixed").Bytes())
	s.event(t)
	for kind, state := range begun {
		if status := s.Filter(t.Context(), state, aPodOfKind(kind), info(t, s.handle, "trap")); status.Code() == framework.Unschedulable {
			t.Errorf("a cycle has two versions: %v", status)
		}
	}
	time.Sleep(20 * time.Millisecond) // a rollback would come from another goroutine
	if got := s.ask(t, "a").Message(); got != "fixed" {
		t.Errorf("in force is %q", got)
	}
}

func TestAnAnswerThatAPointDoesNotHaveIsThatPodsErrorAndTheModulesFault(t *testing.T) {
	m, host := wasmtest.WithHost()
	waiting := m.Func("filter", i32, // 4 is Wait
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal,
		wasmtest.If(wasmtest.Const(4), wasmtest.SetGlobal), wasmtest.Global, wasmtest.Const(0), wasmtest.SetGlobal)
	s := startSwapping(t, answering("old"), Args{})
	s.replace(t, waiting.Bytes())
	s.event(t)
	for kind := range kindsToRollBack {
		status := s.Filter(t.Context(), upstream.NewCycleState(), aPodOfKind(kind), info(t, s.handle, "trap"))
		if status.Code() != framework.Error || !strings.Contains(status.Message(), "Wait, which is no answer at this point") {
			t.Errorf("it is answered %v", status)
		}
	}
	if event := s.event(t); !strings.Contains(event, "failed on 3 kinds of pods") {
		t.Errorf("the event says %q", event)
	}
}

func TestAScoreOutOfRangeIsThatPodsError(t *testing.T) {
	m, host := wasmtest.WithHost()
	scores := m.Func("score", []wasmtest.ValueType{wasmtest.I64}, // the length of the node's name, times 25
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal,
		wasmtest.If(wasmtest.Const(101), wasmtest.SetGlobal), wasmtest.Global, wasmtest.Upper)
	handle := cluster(t, []*v1.Node{node("trap"), node("a")})
	plugin := start(t, scores, handle).(framework.ScorePlugin)
	_, status := plugin.Score(t.Context(), upstream.NewCycleState(), podOn("p", ""), info(t, handle, "trap"))
	if status.Code() != framework.Error || !strings.Contains(status.Message(), "score 101; expected 0 to 100") {
		t.Errorf("it is answered %v", status)
	}
}

func TestAKindOfPodIsAskedAboutAgainAfterAPauseThatGrows(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC))
	failed := faults{clock: clock, lasting: true}
	kind := func() string { return "kind" }
	for _, pause := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour} {
		failed.add("kind", fmt.Errorf("trap"))
		clock.Step(pause - time.Second)
		if failed.of(kind) == nil {
			t.Errorf("it is asked about again before %v are over", pause)
		}
		clock.Step(time.Second)
		if failed.of(kind) != nil {
			t.Errorf("it is not asked about again after %v", pause)
		}
	}
	for i := range 2 * mostFaults {
		failed.add(fmt.Sprint(i), fmt.Errorf("trap"))
	}
	if len(failed.known) > mostFaults {
		t.Errorf("%d kinds are kept", len(failed.known))
	}
}

// A web server that hangs keeps a slot from reading, and from nothing else.
func TestARollbackDoesNotWaitForAWebServerThatHangs(t *testing.T) {
	var content atomic.Value
	content.Store(answering("old").Bytes())
	hanging, release := make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bytes := content.Load().([]byte)
		if len(bytes) == 0 {
			hanging <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		_, _ = w.Write(bytes)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	s := startSwapping(t, nil, Args{GuestURL: server.URL + "/guest.wasm", PollEvery: metav1.Duration{Duration: 10 * time.Millisecond}})
	content.Store(onlyOn(wasmtest.Trap).Pure().Bytes())
	s.event(t)
	content.Store([]byte{})
	<-hanging
	for kind := range kindsToRollBack {
		s.Filter(t.Context(), upstream.NewCycleState(), aPodOfKind(kind), info(t, s.handle, "trap"))
	}
	if event := s.event(t); !strings.Contains(event, "failed on 3 kinds of pods") {
		t.Errorf("the event says %q", event)
	}
	if got := s.ask(t, "a").Message(); got != "old" {
		t.Errorf("in force is %q", got)
	}
}

// What a module keeps in its memory for a pod at Reserve it finds again at PreBind, whatever comes into force between.
func TestAModuleWithAMemoryKeepsItForThePodsThatWaitAtPermit(t *testing.T) {
	remembering := func(version int32) *wasmtest.Module {
		return wasmtest.New().
			Func("reserve", i32, wasmtest.Const(version), wasmtest.SetGlobal, wasmtest.Const(0)).
			Func("permit", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(4<<32|60000)). // Wait
			Func("prebind", i32, wasmtest.Const(2), wasmtest.SetLocal,
				wasmtest.Global, wasmtest.Const(version), wasmtest.Equal, wasmtest.If(wasmtest.Const(0), wasmtest.SetLocal), wasmtest.Local)
	}
	s := startSwapping(t, remembering(1), Args{})
	state, pod := upstream.NewCycleState(), podOn("p", "")
	if status := s.Reserve(t.Context(), state, pod, "a"); !status.IsSuccess() {
		t.Fatal(status)
	}
	if status, _ := s.Permit(t.Context(), state, pod, "a"); status.Code() != framework.Wait {
		t.Fatal(status)
	}
	s.replace(t, remembering(2).Bytes())
	s.event(t)
	other := upstream.NewCycleState()
	if status := s.Reserve(t.Context(), other, podOn("other", ""), "a"); !status.IsSuccess() {
		t.Fatal(status)
	}
	goruntime.GC() // frees what nothing has any more
	if status := s.PreBind(t.Context(), state, pod, "a"); !status.IsSuccess() {
		t.Errorf("it has forgotten the pod: %v", status)
	}
	if status := s.PreBind(t.Context(), other, podOn("other", ""), "a"); !status.IsSuccess() {
		t.Errorf("the version after it does not know its own: %v", status)
	}
}

func TestTheSeriesOfVersionsThatLeftAreDropped(t *testing.T) {
	s := startSwapping(t, answering("version 0"), Args{})
	seriesOf := func() (count int) {
		families, err := onlyOf(s.name, legacyregistry.DefaultGatherer).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			count += len(family.Metric)
		}
		return count
	}
	few := 0
	for version := range 50 {
		s.ask(t, "a")
		s.replace(t, answering(fmt.Sprintf("version %d", version+1)).Bytes())
		s.event(t)
		if version == mostDeparted+1 {
			few = seriesOf()
		}
	}
	if many := seriesOf(); many > few {
		t.Errorf("after fifty modules there are %d series, after a few there were %d", many, few)
	}
}
