package guesttest

import (
	"context"
	"maps"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

const special = `{"models": [{"model": "NVIDIA_H100_80GB_HBM3", "aliases": ["H100"], "gpusPerHost": 8}]}`

func withModel(model string) *v1.Node {
	return node(model, map[string]string{"gpu-node-label-model": model}, list("nvidia.com/gpu", "8"), list("nvidia.com/gpu", "8"))
}

func selecting(pod *v1.Pod, model string) *v1.Pod {
	pod.Spec.NodeSelector = map[string]string{"gpu-node-label-model": model}
	return pod
}

func TestSKUExclusionFilterKeepsSpecialHardwareForPodsThatNameIt(t *testing.T) {
	h100, t4 := withModel("NVIDIA_H100_80GB_HBM3"), withModel("T4")
	filter := MustLoad(t, "sku-exclusion-filter", special, h100, t4).(framework.FilterPlugin)
	for _, test := range []struct {
		name     string
		pod      *v1.Pod
		h100, t4 framework.Code
	}{
		{"general", pod(list("nvidia.com/gpu", "1")), framework.UnschedulableAndUnresolvable, framework.Success},
		{"by name", selecting(pod(list("nvidia.com/gpu", "1")), "NVIDIA_H100_80GB_HBM3"), framework.Success, framework.UnschedulableAndUnresolvable},
		{"by alias", selecting(pod(list("nvidia.com/gpu", "1")), "H100"), framework.Success, framework.UnschedulableAndUnresolvable},
		{"bound", boundTo(pod(nil), h100.Name), framework.Success, framework.Success},
	} {
		for node, want := range map[*v1.Node]framework.Code{h100: test.h100, t4: test.t4} {
			info := framework.NewNodeInfo()
			info.SetNode(node)
			if status := filter.Filter(context.Background(), nil, test.pod, info); status.Code() != want {
				t.Errorf("%s on %s: %v, want code %v", test.name, node.Name, status, want)
			}
		}
	}
}

// telling is a node with what weir-scheduler would tell of it; in the plain extension somebody wrote it there.
func telling(name string, allocatable v1.ResourceList, told map[string]string) *v1.Node {
	node := node(name, nil, allocatable, allocatable)
	node.Annotations = map[string]string{}
	for key, value := range told {
		node.Annotations["node.weir.dev/"+key] = value
	}
	return node
}

func scoresOf(t *testing.T, plugin framework.Plugin, pod *v1.Pod, nodes ...*v1.Node) []int64 {
	t.Helper()
	var scores []int64
	for _, node := range nodes {
		score, status := plugin.(framework.ScorePlugin).Score(context.Background(), nil, pod, node.Name)
		if !status.IsSuccess() {
			t.Fatalf("%s: %v", node.Name, status)
		}
		scores = append(scores, score)
	}
	return scores
}

func equal(got []int64, want ...int64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i] != want[i] {
			return false
		}
	}
	return true
}

func TestBinPackScorePrefersTheFullerHost(t *testing.T) {
	gpus := list("nvidia.com/gpu", "8")
	empty := telling("empty", gpus, map[string]string{"requested.nvidia.com/gpu": "0", "requested.cpu": "0"})
	full := telling("full", gpus, map[string]string{"requested.nvidia.com/gpu": "7", "requested.cpu": "0"})
	plugin := MustLoad(t, "binpack-score", "", empty, full)
	if got := scoresOf(t, plugin, pod(list("nvidia.com/gpu", "1")), empty, full); !equal(got, 12, 100) {
		t.Errorf("scores %v", got)
	}
}

func TestLoadAwareScorePrefersTheNodeThatUsesLess(t *testing.T) {
	told := map[string]string{"requested.cpu": "20000", "load-sampled-requested.cpu": "20000"}
	quiet, busy := maps.Clone(told), maps.Clone(told)
	quiet["load.cpu"], busy["load.cpu"] = "8000", "26000"
	nodes := []*v1.Node{telling("quiet", list("cpu", "32"), quiet), telling("busy", list("cpu", "32"), busy)}
	plugin := MustLoad(t, "loadaware-score", "", nodes...)
	if got := scoresOf(t, plugin, pod(list("cpu", "2")), nodes...); !equal(got, 74, 1) {
		t.Errorf("scores %v", got)
	}
}

func TestScoresSkipTheOtherKindOfPod(t *testing.T) {
	cpu, gpu := pod(list("cpu", "1")), pod(list("nvidia.com/gpu", "1"))
	for name, want := range map[string][2]framework.Code{
		"binpack-score":   {framework.Skip, framework.Success},
		"loadaware-score": {framework.Success, framework.Skip},
	} {
		plugin := MustLoad(t, name, "").(framework.PreScorePlugin)
		got := [2]framework.Code{
			plugin.PreScore(context.Background(), nil, cpu, nil).Code(),
			plugin.PreScore(context.Background(), nil, gpu, nil).Code(),
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestWithoutWeirsAnnotationsEveryNodeScoresTheSame(t *testing.T) {
	small, large := list("cpu", "8"), list("cpu", "96")
	small["nvidia.com/gpu"], large["nvidia.com/gpu"] = list("x", "1")["x"], list("x", "8")["x"]
	a, b := node("a", nil, small, small), node("b", nil, large, large)
	for name, pod := range map[string]*v1.Pod{
		"binpack-score":   pod(list("nvidia.com/gpu", "1")),
		"loadaware-score": pod(list("cpu", "1")),
	} {
		if got := scoresOf(t, MustLoad(t, name, "", a, b), pod, a, b); !equal(got, 50, 50) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEveryPluginRefusesASettingThatItDoesNotKnow(t *testing.T) {
	for _, name := range []string{"gpu-filter", "sku-exclusion-filter", "binpack-score", "loadaware-score"} {
		_, err := Load(t, name, `{"colour": "blue"}`)
		if err == nil || !strings.Contains(err.Error(), "settings: unknown field `colour`, expected ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
