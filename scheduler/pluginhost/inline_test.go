package pluginhost

import (
	"context"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/internal/wasmtest"
)

// nameEcho answers with what it is told as the name of the node at filter, and with the first byte of that at score.
func nameEcho() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	m.Func("filter", i32, host.ReadNodeName(), host.Answer(2))
	return m.Func("score", []wasmtest.ValueType{wasmtest.I64}, host.ReadNodeName(), wasmtest.Drop, wasmtest.Const(1024), wasmtest.Load8, wasmtest.Upper)
}

// marks splits what was told into the marks and the Node behind them.
func marks(t *testing.T, status *framework.Status) (string, *v1.Node) {
	t.Helper()
	message := strings.TrimLeft(status.Message(), "\x01\x02")
	node := &v1.Node{}
	if err := node.Unmarshal([]byte(message)); err != nil {
		t.Fatalf("the guest was told %q: %v", status.Message(), err)
	}
	return strings.TrimSuffix(status.Message(), message), node
}

func TestAModuleThatTakesItsNodeInlineIsToldItInPlaceOfItsNameAndWhetherThePodIsTheSame(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a"), node("b")}, podOn("placed", "b", "cpu", "3"))
	plugin := start(t, nameEcho().Inline(), handle)
	first, sibling, other := podOn("job-0", "", "cpu", "1"), podOn("job-1", "", "cpu", "1"), podOn("other", "", "cpu", "2")
	for _, step := range []struct {
		pod         *v1.Pod
		node        string
		marks, used string
	}{
		{first, "a", "\x01\x02", "0"},
		{first, "b", "\x02", "3000"},
		{sibling, "a", "\x02", "0"}, // what a pure module is told of it is the same
		{other, "a", "\x01\x02", "0"},
		{first, "a", "\x01\x02", "0"},
	} {
		marks, node := marks(t, filterWith(plugin, step.pod, info(t, handle, step.node)))
		used := node.Annotations["node.weir.dev/requested.cpu"]
		if marks != step.marks || node.Name != step.node || node.Labels["host"] != step.node || used != step.used {
			t.Errorf("about %s on %s it is told %q and %v", step.pod.Name, step.node, marks, node)
		}
	}
	score, status := plugin.(framework.ScorePlugin).Score(context.Background(), upstream.NewCycleState(), first, info(t, handle, "b"))
	if !status.IsSuccess() || score != 2 {
		t.Errorf("at score it is told something that begins with %d (%v)", score, status)
	}
}

// A module keeps the pod of its calls about nodes; what it reads at another point it has forgotten by then.
func TestAPodThatAModuleReadAtAnotherPointIsAnotherOneAtTheNextNode(t *testing.T) {
	m, host := wasmtest.WithHost()
	m.Func("prescore", i32, wasmtest.Const(0)).Func("prefilter", i32, wasmtest.Const(0)).Func("filter", i32, host.ReadNodeName(), host.Answer(2))
	m.Func("score", []wasmtest.ValueType{wasmtest.I64}, host.ReadNodeName(), wasmtest.Drop, wasmtest.Const(1024), wasmtest.Load8, wasmtest.Upper)
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := start(t, m.Inline(), handle)
	before, pod := podOn("before", "", "cpu", "1"), podOn("p", "", "cpu", "2")
	filterWith(plugin, before, info(t, handle, "a"))
	for name, ask := range map[string]func(framework.CycleState) *framework.Status{
		"prefilter": func(state framework.CycleState) *framework.Status {
			_, status := plugin.(framework.PreFilterPlugin).PreFilter(t.Context(), state, pod, nil)
			return status
		},
		"prescore": func(state framework.CycleState) *framework.Status {
			return plugin.(framework.PreScorePlugin).PreScore(t.Context(), state, pod, nil)
		},
	} {
		state := upstream.NewCycleState()
		if status := ask(state); !status.IsSuccess() {
			t.Fatalf("%s answers %v", name, status)
		}
		score, status := plugin.(framework.ScorePlugin).Score(t.Context(), state, pod, info(t, handle, "a"))
		if !status.IsSuccess() || score != 1 {
			t.Errorf("after %s it is told something that begins with %d (%v), want the mark of another pod", name, score, status)
		}
		filterWith(plugin, before, info(t, handle, "a"))
	}
}

func TestAnInstanceThatTakesThePlaceOfATrappedOneIsToldThatItDoesNotKnowThePod(t *testing.T) {
	m, host := wasmtest.WithHost()
	// The second call of an instance about a pod traps.
	guest := m.Func("filter", i32, host.ReadNodeName(), host.Answer(2),
		wasmtest.Const(1024), wasmtest.Load8, wasmtest.Const(2), wasmtest.Equal, wasmtest.If(wasmtest.Trap)).Inline()
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := start(t, guest, handle)
	pod, other := podOn("p", ""), podOn("other", "", "cpu", "1")
	var answers []framework.Code
	for _, pod := range []*v1.Pod{pod, pod, other} {
		answers = append(answers, filterWith(plugin, pod, info(t, handle, "a")).Code())
	}
	if want := []framework.Code{framework.Unschedulable, framework.Error, framework.Unschedulable}; !slices.Equal(answers, want) {
		t.Errorf("the answers are %v, want %v", answers, want)
	}
}

func TestAModuleThatIsNotPureIsToldTheNameOfANodeWhateverElseItSays(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	m, host := wasmtest.WithHost()
	guest := m.Func("filter", i32, host.ReadNodeName(), host.Answer(2)).Custom("weir.dev/guest", []byte(`{"abi":2,"pure":false,"inline":true}`))
	if told := filterWith(start(t, guest, handle), podOn("p", ""), info(t, handle, "a")).Message(); told != "a" {
		t.Errorf("it is told %q", told)
	}
}
