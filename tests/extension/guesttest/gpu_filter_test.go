package guesttest

import (
	"context"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

func node(name string, labels map[string]string, capacity, allocatable v1.ResourceList) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status:     v1.NodeStatus{Capacity: capacity, Allocatable: allocatable},
	}
}

func list(name, quantity string) v1.ResourceList {
	return v1.ResourceList{v1.ResourceName(name): resource.MustParse(quantity)}
}

func pod(requests v1.ResourceList) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "uid"},
		Spec: v1.PodSpec{
			Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Requests: requests}}},
		},
	}
}

func boundTo(pod *v1.Pod, node string) *v1.Pod {
	pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
			MatchFields: []v1.NodeSelectorRequirement{{
				Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{node},
			}},
		}}},
	}}
	return pod
}

func TestGPUFilterKeepsTheTwoKindsOfWorkApart(t *testing.T) {
	nodes := map[string]*v1.Node{
		"cpu":        node("cpu", nil, list("cpu", "64"), list("cpu", "64")),
		"gpu":        node("gpu", nil, list("nvidia.com/gpu", "8"), list("nvidia.com/gpu", "8")),
		"restarting": node("restarting", nil, list("nvidia.com/gpu", "8"), list("nvidia.com/gpu", "0")),
		"labelled":   node("labelled", map[string]string{"gpu-node-label-model": "T4"}, nil, nil),
	}
	cases := []struct {
		name string
		pod  *v1.Pod
		pass sets.Set[string]
	}{
		{"a pod that asks for no GPU", pod(list("cpu", "1")), sets.New("cpu")},
		{"a pod that asks for nothing", pod(nil), sets.New("cpu")},
		{"a pod that asks for none in so many words", pod(list("nvidia.com/gpu", "0")), sets.New("cpu")},
		{"a pod that asks for a GPU", pod(list("nvidia.com/gpu", "1")), sets.New("gpu", "restarting", "labelled")},
		{"a pod that is bound to one node by name", boundTo(pod(nil), "gpu"), sets.New("cpu", "gpu", "restarting", "labelled")},
	}
	all := make([]*v1.Node, 0, len(nodes))
	for _, node := range nodes {
		all = append(all, node)
	}
	filter := MustLoad(t, "gpu-filter", "", all...).(framework.FilterPlugin)
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			passed := sets.New[string]()
			for name, node := range nodes {
				info := framework.NewNodeInfo()
				info.SetNode(node)
				switch status := filter.Filter(context.Background(), nil, test.pod, info); status.Code() {
				case framework.Success:
					passed.Insert(name)
				case framework.UnschedulableAndUnresolvable:
				default:
					t.Errorf("%s: %v", name, status)
				}
			}
			if !passed.Equal(test.pass) {
				t.Errorf("passed %v, want %v", sets.List(passed), sets.List(test.pass))
			}
		})
	}
}

func TestGPUFilterAsksToBeWokenByNodesOnly(t *testing.T) {
	got := EventsOf(t, MustLoad(t, "gpu-filter", ""))
	want := sets.New("Node/Add", "Node/UpdateNodeLabel", "Node/UpdateNodeAllocatable", "Node/UpdateNodeTaint")
	if !got.Equal(want) {
		t.Errorf("events %v, want %v", sets.List(got), sets.List(want))
	}
}

func TestASettingThatIsWrongStopsTheStartWithItsName(t *testing.T) {
	for config, want := range map[string]string{
		`{"gpuResourcez": []}`:           "settings: unknown field `gpuResourcez`, expected `gpuResources` or `modelLabels`",
		`{"gpuResources": ["a/b", 5]}`:   "settings.gpuResources[1]: expected a string, found the number 5",
		`{"gpuResources": []}`:           "settings: gpuResources: name at least one resource",
		`{"gpuResources": ["gpu"]}`:      "settings: gpuResources[0]: write vendor/name",
		`{"gpuResources": ["a/b"]`:       "settings: no JSON: EOF while parsing an object at line 1 column 24",
		`gpuResources: [nvidia.com/gpu]`: "settings: no JSON: expected value at line 1 column 1",
	} {
		_, err := Load(t, "gpu-filter", config)
		if err == nil {
			t.Errorf("%s: loaded", config)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is\n%v\nand does not say %q", config, err, want)
		}
	}
}

func TestANodeThatTheHostDoesNotKnowIsAnErrorAndNoVerdict(t *testing.T) {
	filter := MustLoad(t, "gpu-filter", "").(framework.FilterPlugin)
	info := framework.NewNodeInfo()
	info.SetNode(node("gone", nil, nil, nil))
	status := filter.Filter(context.Background(), nil, pod(nil), info)
	if status.Code() != framework.Error || status.Message() != "node: the host knows no node `gone`" {
		t.Errorf("status %v: %q", status.Code(), status.Message())
	}
}
