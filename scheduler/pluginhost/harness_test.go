package pluginhost

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
)

// testHost is a host whose guests may put a whole node or pod into the reason of their answer.
func testHost(clock clock.Clock, recheckOneIn uint64) *Host {
	host := NewHost(clock, recheckOneIn)
	host.limits.Reason, host.rawReasons = 1<<20, true
	return host
}

// addPod places a pod on a node.
func addPod(to framework.NodeInfo, pod *v1.Pod) { to.(*upstream.NodeInfo).AddPod(pod) }

// cluster is a scheduler's handle with a real snapshot of these nodes and pods.
func cluster(t testing.TB, nodes []*v1.Node, pods ...*v1.Pod) framework.Handle {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	handle, err := frameworkruntime.NewFramework(ctx, nil, nil,
		frameworkruntime.WithSnapshotSharedLister(cache.NewSnapshot(pods, nodes)))
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// start loads a guest into a slot named Test.
func start(t testing.TB, guest *wasmtest.Module, handle framework.Handle) framework.Plugin {
	t.Helper()
	return startWith(t, Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, handle)
}

func startWith(t testing.TB, args Args, handle framework.Handle) framework.Plugin {
	t.Helper()
	plugin, err := newPlugin("Test", args, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plugin.(io.Closer).Close() })
	return plugin
}

func newPlugin(name string, args Args, handle framework.Handle) (framework.Plugin, error) {
	return testHost(clock.RealClock{}, 1).New(context.Background(), name, args, handle)
}

func filterWith(plugin framework.Plugin, pod *v1.Pod, node framework.NodeInfo) *framework.Status {
	return plugin.(framework.FilterPlugin).Filter(context.Background(), upstream.NewCycleState(), pod, node)
}

// told decodes the reason of wasmtest.NodeEcho.
func told(t testing.TB, status *framework.Status) *v1.Node {
	t.Helper()
	node := &v1.Node{}
	if err := node.Unmarshal([]byte(status.Message())); err != nil {
		t.Fatalf("the guest was told no node: %v (status %v %q)", err, status.Code(), status.Message())
	}
	return node
}

func node(name string, offered ...string) *v1.Node {
	resources := amounts(append([]string{"cpu", "8", "memory", "32Gi", "pods", "110"}, offered...)...)
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"host": name}},
		Status:     v1.NodeStatus{Capacity: resources, Allocatable: resources},
	}
}

func podOn(name, node string, requests ...string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec: v1.PodSpec{
			NodeName: node,
			Containers: []v1.Container{{
				Name:      "main",
				Resources: v1.ResourceRequirements{Requests: amounts(requests...)},
			}},
		},
	}
}

func amounts(pairs ...string) v1.ResourceList {
	list := v1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[v1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func info(t testing.TB, handle framework.Handle, name string) framework.NodeInfo {
	t.Helper()
	info, err := handle.SnapshotSharedLister().NodeInfos().Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func manyNodes(n int) []*v1.Node {
	nodes := make([]*v1.Node, n)
	for i := range nodes {
		nodes[i] = node(fmt.Sprintf("node-%d", i))
	}
	return nodes
}

// gatherer gathers the metrics of one plugin; the registry is the process's and other tests use it too.
type gatherer struct {
	plugin string
	all    metrics.Gatherer
}

func onlyOf(plugin string, all metrics.Gatherer) metrics.Gatherer { return gatherer{plugin, all} }

func (g gatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.all.Gather()
	for _, family := range families {
		family.Metric = slices.DeleteFunc(family.Metric, func(m *dto.Metric) bool {
			return !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool {
				return l.GetName() == "plugin" && l.GetValue() == g.plugin
			})
		})
	}
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return len(f.Metric) == 0 }), err
}
