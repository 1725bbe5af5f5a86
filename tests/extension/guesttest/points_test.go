package guesttest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"
)

// everyPoint is sdk/examples/every_point.rs in kube-scheduler's real framework: at each point it refuses the pods whose
// label names the point, with what it was told there as the reason.
type everyPoint struct {
	framework.Framework
	plugin framework.Plugin
	nodes  []*framework.NodeInfo
	events *recorder
}

// recorder keeps events as a person would read them.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

// Eventf implements events.EventRecorder.
func (r *recorder) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	about := regarding.(*v1.ObjectReference)
	r.lines = append(r.lines, fmt.Sprintf("%s/%s %s %s %s: %s", about.Namespace, about.Name, kind, reason, action, fmt.Sprintf(note, args...)))
}

func inFramework(t *testing.T) *everyPoint {
	t.Helper()
	metrics.Register()
	a, b := node("a", map[string]string{"zone": "east"}, list("cpu", "8"), list("cpu", "8")), node("b", nil, list("cpu", "8"), list("cpu", "8"))
	a.Status.Images = []v1.ContainerImage{{Names: []string{"example.com/train:1"}, SizeBytes: 1 << 20}}
	b.Status.Images = a.Status.Images
	const name = "EveryPoint"
	enabled := func(names ...string) config.PluginSet {
		var set config.PluginSet
		for _, name := range names {
			set.Enabled = append(set.Enabled, config.Plugin{Name: name})
		}
		return set
	}
	e := &everyPoint{events: &recorder{}}
	profile := &config.KubeSchedulerProfile{
		SchedulerName: "test",
		Plugins:       &config.Plugins{QueueSort: enabled(queuesort.Name), MultiPoint: enabled(name)},
	}
	registry := frameworkruntime.Registry{
		queuesort.Name: queuesort.New,
		name: func(ctx context.Context, _ runtime.Object, handle framework.Handle) (plugin framework.Plugin, err error) {
			e.plugin, err = wasm.NewFromConfig(ctx, name, wasm.PluginConfig{GuestURL: guest(t, "every_point")}, handle)
			return e.plugin, err
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	snapshot := cache.NewSnapshot(nil, []*v1.Node{a, b})
	var err error
	e.Framework, err = frameworkruntime.NewFramework(ctx, registry, profile, frameworkruntime.WithSnapshotSharedLister(snapshot),
		frameworkruntime.WithEventRecorder(e.events), frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		info, err := snapshot.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		e.nodes = append(e.nodes, info)
	}
	return e
}

// guest is the URL of an example of the SDK.
func guest(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(Folder(), "..", "guests", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make guests` first", err)
	}
	return "file://" + path
}

// with is a pod p of UID p with these labels, written "key=value".
func with(labels ...string) *v1.Pod {
	pod := pod(nil)
	pod.UID, pod.Labels = types.UID(pod.Name), map[string]string{}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		pod.Labels[key] = value
	}
	return pod
}

// says fails unless a point answered with this code and these words.
func says(t *testing.T, point string, status *framework.Status, code framework.Code, words string) {
	t.Helper()
	if status.Code() != code || !strings.Contains(status.Message(), words) {
		t.Errorf("%s: %v %q, want %v %q", point, status.Code(), status.Message(), code, words)
	}
}

func TestThePointsOfASchedulingCycleTellAModuleWhatItsSDKReads(t *testing.T) {
	e, ctx, state := inFramework(t), context.Background(), framework.NewCycleState()
	a, other := e.nodes[0], with()
	other.Name = "other"
	added, _ := framework.NewPodInfo(other)

	_, status, _ := e.RunPreFilterPlugins(ctx, state, with("refuse=prefilter"))
	says(t, "prefilter asks for all nodes", status, framework.Unschedulable, "a+b in 2 zones")
	result, status, _ := e.RunPreFilterPlugins(ctx, state, with("only=b"))
	says(t, "prefilter asks for a node", status, framework.Success, "")
	if !result.NodeNames.Equal(sets.New("b")) {
		t.Errorf("prefilter leaves %v", result)
	}
	_, status, _ = e.RunPreFilterPlugins(ctx, state, with("only=gone"))
	says(t, "prefilter asks for a node that is not there", status, framework.Error, "node: the host knows no node `gone`")

	says(t, "filter", e.RunFilterPlugins(ctx, state, with(), a), framework.Success, "")
	says(t, "filter keeps count in a cycle", e.RunFilterPlugins(ctx, state, with("refuse=filter"), a), framework.Unschedulable, "2: p on a")
	if _, status, _ := e.RunPreFilterPlugins(ctx, state, with()); !status.IsSuccess() {
		t.Fatal(status)
	}
	says(t, "filter in the next cycle", e.RunFilterPlugins(ctx, state, with("refuse=filter"), e.nodes[1]), framework.Unschedulable, "1: p on b")

	extensions := e.plugin.(framework.PreFilterPlugin).PreFilterExtensions()
	says(t, "addpod", extensions.AddPod(ctx, state, with("refuse=addpod"), added, a), framework.Unschedulable, "other to a")
	says(t, "removepod", extensions.RemovePod(ctx, state, with("refuse=removepod"), added, a), framework.Unschedulable, "other from a")

	rejected := framework.NewDefaultNodeToStatus()
	rejected.Set("a", framework.NewStatus(framework.UnschedulableAndUnresolvable))
	rejected.Set("b", framework.NewStatus(framework.Unschedulable))
	nominated, status := e.RunPostFilterPlugins(ctx, state, with(), rejected)
	says(t, "postfilter", status, framework.Success, "")
	if nominated.NominatedNodeName != "b" || nominated.NominatingMode != framework.ModeOverride {
		t.Errorf("postfilter nominates %v", nominated.NominatingInfo)
	}
	_, status = e.RunPostFilterPlugins(ctx, state, with("refuse=postfilter"), rejected)
	says(t, "postfilter sees statuses", status, framework.Unschedulable, "2 nodes")

	says(t, "prescore", e.RunPreScorePlugins(ctx, state, with("refuse=prescore"), e.nodes), framework.Error, "a+b")
	says(t, "prescore", e.RunPreScorePlugins(ctx, state, with(), e.nodes), framework.Success, "")
	scores, status := e.RunScorePlugins(ctx, state, with(), e.nodes)
	says(t, "score", status, framework.Success, "")
	for i := range scores {
		if scores[i].TotalScore != 2 {
			t.Errorf("score of %s: %d, its image is on 2 nodes", scores[i].Name, scores[i].TotalScore)
		}
	}
	_, status = e.RunScorePlugins(ctx, state, with("refuse=score"), e.nodes)
	says(t, "score sees images", status, framework.Error, `"example.com/train:1", ImageState { size: 1048576, num_nodes: 2 }`)
}

func TestThePointsOfABindingCycleTellAModuleWhatItsSDKReads(t *testing.T) {
	e, ctx, state := inFramework(t), context.Background(), framework.NewCycleState()

	says(t, "reserve", e.RunReservePluginsReserve(ctx, state, with("refuse=reserve"), "a"), framework.Unschedulable, "p on a")
	says(t, "reserve", e.RunReservePluginsReserve(ctx, state, with(), "a"), framework.Success, "")
	e.RunReservePluginsUnreserve(ctx, state, with(), "a")

	// One pod waits, the next one looks at it and sends it away.
	waiting, frees := with("waits=60"), with("frees=p")
	frees.UID = "another"
	says(t, "permit", e.RunPermitPlugins(ctx, state, waiting, "a"), framework.Wait, "")
	says(t, "permit of another", e.RunPermitPlugins(ctx, state, frees, "a"), framework.Unschedulable, "`p` waited: true")
	says(t, "the one that waited", e.WaitOnPermit(ctx, waiting), framework.Unschedulable, "")
	says(t, "permit when nobody waits", e.RunPermitPlugins(ctx, state, frees, "a"), framework.Unschedulable, "`` waited: false")
	says(t, "permit", e.RunPermitPlugins(ctx, state, with(), "a"), framework.Success, "")

	says(t, "prebind", e.RunPreBindPlugins(ctx, state, with("refuse=prebind"), "a"), framework.Unschedulable, "p on a")
	says(t, "prebind", e.RunPreBindPlugins(ctx, state, with(), "a"), framework.Success, "")
	says(t, "bind", e.RunBindPlugins(ctx, state, with("refuse=bind"), "a"), framework.Unschedulable, "p to a")
	says(t, "bind", e.RunBindPlugins(ctx, state, with(), "a"), framework.Success, "")
	e.RunPostBindPlugins(ctx, state, with(), "a")

	// The extension formats notes with one argument too many (handle::record).
	want := []string{
		"default/p Warning Told unreserve: unreserve p on a in east, 100 %%!(EXTRA <nil>)",
		"default/p Warning Told postbind: postbind p on a in east, 100 %%!(EXTRA <nil>)",
	}
	if !slices.Equal(e.events.lines, want) {
		t.Errorf("events %q, want %q", e.events.lines, want)
	}
}

func TestAModuleIsWokenByTheEventsThatItNames(t *testing.T) {
	want := sets.New("Node/Add", "Node/UpdateNodeTaint", "Pod/Delete")
	if got := EventsOf(t, inFramework(t).plugin); !got.Equal(want) {
		t.Errorf("events %v, want %v", sets.List(got), sets.List(want))
	}
}

// What sdk/src/binding.rs says of the extension. If an upstream version makes one of these fail, the warning can go.
func TestTheWarningAboutThePointsOfABindingCycleIsTrue(t *testing.T) {
	e, ctx, state := inFramework(t), context.Background(), framework.NewCycleState()
	another := with()
	another.UID = "another"
	filtered := func(pod *v1.Pod) {
		says(t, "filter", e.RunFilterPlugins(ctx, state, pod, e.nodes[0]), framework.Success, "")
	}
	filtered(with())
	filtered(another)
	says(t, "the first is bound", e.RunPreBindPlugins(ctx, state, with(), "a"), framework.Success, "")
	defer func() {
		if recovered := fmt.Sprint(recover()); !strings.Contains(recovered, "unexpected podUID") {
			t.Errorf("two pods without Permit were bound back to back, and the extension says %q", recovered)
		}
	}()
	e.RunPreBindPlugins(ctx, state, another, "a")
}

func TestTheExamplesOfTheSDKRunInTheExtension(t *testing.T) {
	east := node("a", map[string]string{"zone": "east"}, nil, nil)
	load := func(name, settings string) framework.Plugin {
		plugin, err := wasm.NewFromConfig(context.Background(), name,
			wasm.PluginConfig{GuestURL: guest(t, name), GuestConfig: settings}, handle{lister: newLister([]*v1.Node{east})})
		if err != nil {
			t.Fatal(err)
		}
		return plugin
	}
	info := framework.NewNodeInfo()
	info.SetNode(east)
	smallest := load("smallest", "").(framework.FilterPlugin)
	says(t, "smallest", smallest.Filter(context.Background(), nil, with("zone=east"), info), framework.Success, "")
	says(t, "smallest", smallest.Filter(context.Background(), nil, with(), info), framework.UnschedulableAndUnresolvable, "node(s) were in another zone")
	for label, want := range map[string]int64{"zone": 100, "rack": 0} {
		prefer := load("settings", fmt.Sprintf(`{"label": %q}`, label)).(framework.ScorePlugin)
		if score, status := prefer.Score(context.Background(), nil, with(), "a"); score != want || !status.IsSuccess() {
			t.Errorf("a node with a zone scores %d (%v) by %s, want %d", score, status, label, want)
		}
	}
}
