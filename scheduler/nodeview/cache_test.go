package nodeview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	clocktesting "k8s.io/utils/clock/testing"

	"weir.dev/scheduler/load"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func nodeInfo(name string) *upstream.NodeInfo {
	info := upstream.NewNodeInfo()
	info.SetNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return info
}

func sampled(t *testing.T, loads *load.Store, taken time.Time, cpu string) {
	t.Helper()
	err := loads.Put(&unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "a"},
		"spec": map[string]any{
			"sampleTime": taken.Format(time.RFC3339), "windowSeconds": int64(30), "usage": map[string]any{"cpu": cpu},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func annotation(t *testing.T, view *View, key string) string {
	t.Helper()
	told, err := view.Told()
	if err != nil {
		t.Fatal(err)
	}
	return told.Annotations[key]
}

func TestAViewIsBuiltWhenTheNodeChangesAndNotBefore(t *testing.T) {
	cache, info := NewCache(Detail{}, nil, nil), nodeInfo("a")
	first := cache.Of(info)
	if cache.Of(info) != first {
		t.Error("it was built again though nothing changed")
	}
	info.AddPod(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}})
	if got := annotation(t, cache.Of(info), "node.weir.dev/requested-pods"); got != "1" {
		t.Errorf("after a pod was placed the guest is told of %q pods", got)
	}
	if annotation(t, first, "node.weir.dev/requested-pods") != "0" {
		t.Error("a view that somebody may hold has changed")
	}
}

func TestANodeInfoThatMovedAndTellsTheSameKeepsItsView(t *testing.T) {
	for name, detail := range map[string]Detail{"with requests": {}, "without": {WithoutRequests: true}} {
		cache, info := NewCache(detail, nil, nil), nodeInfo("a")
		placed := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}}
		info.AddPod(placed)
		before := cache.Of(info)
		confirmed := placed.DeepCopy()
		if err := info.RemovePod(klog.Background(), placed); err != nil {
			t.Fatal(err)
		}
		info.AddPod(confirmed)
		if after := cache.Of(info); after.ID != before.ID || cache.ByGeneration().FirstKey(info) != uint64(before.first) {
			t.Errorf("%s: after the binding was confirmed the view is another", name)
		}
		labelled := info.Node().DeepCopy()
		labelled.Labels = map[string]string{"new": "yes"}
		info.SetNode(labelled)
		if after := cache.Of(info); after.ID == before.ID {
			t.Errorf("%s: after the node was labelled the view is the same", name)
		}
	}
}

func TestAViewWithoutRequestsIsTheSameWhateverIsPlaced(t *testing.T) {
	cache, info := NewCache(Detail{WithoutRequests: true}, nil, nil), nodeInfo("a")
	before := cache.Of(info)
	info.AddPod(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}})
	if after := cache.Of(info); after.ID != before.ID || annotation(t, after, "node.weir.dev/requested-pods") != "" {
		t.Error("the guest is told of a pod that was placed")
	}
}

func TestLoadIsToldWhileItIsFreshAndTheViewIsBuiltAnewWhenItExpires(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(noon)
	loads := load.NewStore(now)
	cache, info := NewCache(Detail{LoadFreshFor: time.Minute}, loads, now), nodeInfo("a")
	told := func() string { return annotation(t, cache.Of(info), "node.weir.dev/load.cpu") }

	steps := []struct {
		after time.Duration
		cpu   string // a new sample, if any
		want  string
	}{
		{0, "", ""},
		{time.Second, "2", "2000"},
		{time.Minute, "", "2000"},
		{time.Minute + time.Second, "", ""},
		{2 * time.Minute, "3", "3000"},
	}
	for _, step := range steps {
		now.SetTime(noon.Add(step.after))
		if step.cpu != "" {
			sampled(t, loads, now.Now(), step.cpu)
		}
		if got := told(); got != step.want {
			t.Errorf("after %v the guest is told %q, want %q", step.after, got, step.want)
		}
	}
}

func TestPluginsThatAskForNoLoadKeepTheirViewWhenASampleComes(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(noon)
	loads := load.NewStore(now)
	cache, info := NewCache(Detail{}, loads, now), nodeInfo("a")
	before := cache.Of(info)
	sampled(t, loads, noon, "2")
	if cache.Of(info) != before {
		t.Error("a new view was built, and everything remembered about the node with it is lost")
	}
}

func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	cache := NewCache(Detail{}, nil, nil)
	for _, name := range []string{"a", "b", "c"} {
		cache.Of(nodeInfo(name))
	}
	cache.Forget(func(name string) bool { return name == "b" })
	if cache.Len() != 1 || cache.Captured("a") != nil || cache.Captured("b") == nil || len(cache.AllCaptured()) != 1 {
		t.Errorf("%d nodes are kept, want only b", cache.Len())
	}
}

// What is told of pods comes and goes while the rest of the message is kept.
func TestAMessageThatIsPutTogetherIsTheOneThatANodeIsWrittenDownAs(t *testing.T) {
	cache := NewCache(Detail{Annotations: []string{"kept", "zone"}}, nil, nil)
	info := nodeInfo("a")
	for step, node := range []*v1.Node{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"x": "1", "host": strings.Repeat("long ", 60)}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"zone": strings.Repeat("z", 200), "kept": "", "other": "1"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1.NodeSpec{Unschedulable: true, Taints: []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoSchedule}}}},
	} {
		info.SetNode(node)
		for pods := range 3 {
			info.AddPod(&v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(step, pods))}})
			want, err := cache.Detail().Node(info, nil).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if got := cache.Of(info).Message(); got != string(want) {
				t.Errorf("step %d with %d pods: the message is\n%q, want\n%q", step, pods, got, want)
			}
		}
	}
}

// In the cycle of a pod group kube-scheduler adds the group's pods to its snapshot, takes them away again, and puts the old
// Generation back.
func TestUnderOneGenerationAPodThatIsAddedInAGroupsCycleIsToldOf(t *testing.T) {
	cache, info := NewCache(Detail{}, nil, nil), nodeInfo("a")
	member := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}}
	group := cache.ByContent()
	pods := func(view *View) string { return annotation(t, view, "node.weir.dev/requested-pods") }
	empty := cache.Of(info)
	keyEmpty, _ := group.Key(info)

	generation := info.Generation
	info.AddPod(member)
	info.Generation = generation
	keyFull, full := group.Key(info)
	if pods(full) != "1" || keyFull == keyEmpty {
		t.Errorf("with the group's first pod the guest is told of %s pods, and the key is %d after %d", pods(full), keyFull, keyEmpty)
	}
	if keyFull == uint64(generation) || keyEmpty == uint64(generation) {
		t.Error("an answer is remembered under a Generation that stands for two contents")
	}

	if err := info.RemovePod(klog.Background(), member); err != nil {
		t.Fatal(err)
	}
	info.Generation = generation
	if again, view := group.Key(info); again != keyEmpty || pods(view) != "0" {
		t.Errorf("without it the guest is told of %s pods, and the key is %d, want %d", pods(view), again, keyEmpty)
	}
	if after := cache.Of(info); after.ID != empty.ID || pods(after) != "0" {
		t.Errorf("after the group's cycle the guest is told of %s pods", pods(after))
	}
}

// A view that was built in a group's cycle is of a content that the Generation does not name.
func TestAViewOfAGroupsCycleIsNotTakenForThatOfItsGeneration(t *testing.T) {
	cache, info := NewCache(Detail{}, nil, nil), nodeInfo("a")
	generation := info.Generation
	info.AddPod(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}})
	info.Generation = generation
	cache.ByContent().Of(info)

	before := nodeInfo("a")
	before.SetNode(info.Node())
	before.Generation = generation
	if got := annotation(t, cache.Of(before), "node.weir.dev/requested-pods"); got != "0" {
		t.Errorf("the guest is told of %s pods on a node that has none", got)
	}
}
