package pluginhost

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/internal/wasmtest"
)

func toldPodOf(t *testing.T, status *framework.Status) *v1.Pod {
	t.Helper()
	pod := &v1.Pod{}
	if err := pod.Unmarshal([]byte(status.Message())); err != nil {
		t.Fatalf("the guest was told no pod: %v (status %v)", err, status.Code())
	}
	return pod
}

// real is a node and a pod with much that placement does not need.
func real() (*v1.Node, *v1.Pod) {
	n := node("a")
	n.UID = "node-uid"
	n.Annotations = map[string]string{"asked": "1", "other": "2"}
	n.Status.Images = []v1.ContainerImage{{Names: []string{"example.com/a"}, SizeBytes: 1}}
	p := podOn("trainer-0", "", "cpu", "1")
	p.CreationTimestamp = metav1.NewTime(time.Unix(1700000000, 0))
	p.Labels = map[string]string{"team": "vision"}
	p.Status.Phase = v1.PodPending
	return n, p
}

func TestAPureGuestIsToldOfANodeOnlyWhatPlacementNeeds(t *testing.T) {
	n, p := real()
	handle := cluster(t, []*v1.Node{n})
	plugin := startWith(t, Args{AllowUnmetered: true, GuestURL: wasmtest.NodeEcho().Pure().Write(t), NodeAnnotations: []string{"asked"}}, handle)

	got := told(t, filterWith(plugin, p, info(t, handle, "a")))

	_, other := got.Annotations["other"]
	if got.UID != "" || len(got.Status.Images) != 0 || other || got.Annotations["asked"] != "1" || got.Labels["host"] != "a" {
		t.Errorf("the trimmed node is %v", got)
	}
}

func TestAPureGuestIsNotToldWhichPodItIs(t *testing.T) {
	n, p := real()
	handle := cluster(t, []*v1.Node{n})

	got := toldPodOf(t, filterWith(start(t, wasmtest.PodEcho().Pure(), handle), p, info(t, handle, "a")))

	if got.Name != "" || got.UID != "" || !got.CreationTimestamp.IsZero() || got.Status.Phase != "" {
		t.Errorf("the guest was told %v", got.ObjectMeta)
	}
	if got.Labels["team"] != "vision" || got.Spec.Containers[0].Resources.Requests.Cpu().Value() != 1 {
		t.Errorf("the guest was not told what places the pod: %v", got)
	}
}

func TestAGuestThatDeclaresNothingGetsWholeObjects(t *testing.T) {
	n, p := real()
	handle := cluster(t, []*v1.Node{n})

	gotNode := told(t, filterWith(start(t, wasmtest.NodeEcho(), handle), p, info(t, handle, "a")))
	gotPod := toldPodOf(t, filterWith(start(t, wasmtest.PodEcho(), handle), p, info(t, handle, "a")))

	if gotNode.UID != "node-uid" || len(gotNode.Status.Images) != 1 || gotNode.Annotations["other"] != "2" ||
		gotNode.Annotations["node.weir.dev/requested-pods"] != "0" {
		t.Errorf("the node is not whole, or lacks what the host adds: %v", gotNode)
	}
	if gotPod.Name != "trainer-0" || gotPod.Status.Phase != v1.PodPending {
		t.Errorf("the pod is not whole: %v", gotPod)
	}
}

func TestAModuleThatDeclaresItselfPureAndImportsMoreIsRefused(t *testing.T) {
	guest := wasmtest.New()
	guest.Import("wasi_snapshot_preview1", "random_get", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32}, []wasmtest.ValueType{wasmtest.I32})
	guest.Func("filter", []wasmtest.ValueType{wasmtest.I32}, wasmtest.Const(0)).Pure()

	_, err := newPlugin("Test", Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, cluster(t, nil))

	if err == nil || !strings.Contains(err.Error(), "wasi_snapshot_preview1.random_get") {
		t.Errorf("got %v, want a refusal that names the import", err)
	}
}

func TestAModuleOfAnotherABIIsRefused(t *testing.T) {
	guest := wasmtest.NodeEcho().Custom("weir.dev/guest", []byte(`{"abi":3,"pure":true}`))

	_, err := newPlugin("Test", Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, cluster(t, nil))

	if err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("got %v, want a refusal that names the version", err)
	}
}

func TestEveryCallIsCountedByItsAnswer(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("trap"), node("sound")})
	plugin, err := newPlugin("Counted", Args{AllowUnmetered: true, GuestURL: trapper().Write(t)}, handle)
	if err != nil {
		t.Fatal(err)
	}
	filterWith(plugin, podOn("p", ""), info(t, handle, "trap"))
	filterWith(plugin, podOn("another", "", "cpu", "1"), info(t, handle, "sound"))
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(trapper().Bytes()))

	// The self-test is a call too, hence two successes.
	want := fmt.Sprintf(`
# HELP weir_plugin_calls_total [ALPHA] Answers of a plugin by extension point and status code, remembered ones included.
# TYPE weir_plugin_calls_total counter
weir_plugin_calls_total{digest=%[1]q,plugin="Counted",point="filter",result="Error"} 1
weir_plugin_calls_total{digest=%[1]q,plugin="Counted",point="filter",result="Success"} 2
# HELP weir_plugin_info [ALPHA] 1 for each module that is in force or runs in the shadow of one.
# TYPE weir_plugin_info gauge
weir_plugin_info{digest=%[1]q,mode="Active",plugin="Counted"} 1
# HELP weir_plugin_traps_total [ALPHA] Calls in which a plugin's module trapped; its instance was replaced.
# TYPE weir_plugin_traps_total counter
weir_plugin_traps_total{digest=%[1]q,plugin="Counted",point="filter"} 1
`, digest)
	gathered := onlyOf("Counted", legacyregistry.DefaultGatherer)
	err = testutil.GatherAndCompare(gathered, strings.NewReader(want),
		"weir_plugin_calls_total", "weir_plugin_traps_total", "weir_plugin_info")
	if err != nil {
		t.Error(err)
	}
}
