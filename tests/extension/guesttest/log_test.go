package guesttest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// logged is what is logged while something is done.
func logged(t *testing.T, do func()) []string {
	t.Helper()
	var out bytes.Buffer
	state := klog.CaptureState()
	defer state.Restore()
	klog.LogToStderr(false)
	klog.SetOutput(&out)
	do()
	klog.Flush()
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// In the plain extension a plugin knows of a node what its object says. Filters need no more; scores would, and say so.
func TestAllFourAnswerSensiblyInThePlainExtensionAndTheScoresSayWhatTheyLack(t *testing.T) {
	cpu := node("cpu", nil, list("cpu", "64"), list("cpu", "64"))
	gpu, h100 := withModel("T4"), withModel("NVIDIA_H100_80GB_HBM3")
	cpuPod, gpuPod, h100Pod := pod(list("cpu", "1")), pod(list("nvidia.com/gpu", "1")), selecting(pod(list("nvidia.com/gpu", "1")), h100.Name)
	const says = "this host does not say what is requested on a node"
	for _, test := range []struct {
		name, settings string
		pods           []*v1.Pod
		passes         [][]string
		log            string
	}{
		{"gpu-filter", "", []*v1.Pod{cpuPod, gpuPod}, [][]string{{"cpu"}, {"T4", h100.Name}}, ""},
		{"sku-exclusion-filter", special, []*v1.Pod{cpuPod, gpuPod, h100Pod}, [][]string{{"cpu", "T4"}, {"cpu", "T4"}, {h100.Name}}, ""},
		{"binpack-score", "", []*v1.Pod{gpuPod, h100Pod}, nil, says},
		{"loadaware-score", "", []*v1.Pod{cpuPod, pod(nil)}, nil, says},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := logged(t, func() {
				plugin := MustLoad(t, test.name, test.settings, cpu, gpu, h100)
				for i, pod := range test.pods {
					answers(t, plugin, pod, test.passes, i, cpu, gpu, h100)
				}
			})
			if test.log == "" && lines[0] != "" {
				t.Errorf("it logs %q, want nothing", lines)
			}
			if test.log != "" && (len(lines) != 1 || !strings.Contains(lines[0], test.log) || !strings.Contains(lines[0], test.name)) {
				t.Errorf("it logs %q, want one line with %q", lines, test.log)
			}
		})
	}
}

// answers fails unless a filter passes exactly these nodes and a score finds the GPU hosts equal.
func answers(t *testing.T, plugin framework.Plugin, pod *v1.Pod, passes [][]string, of int, nodes ...*v1.Node) {
	t.Helper()
	filter, isFilter := plugin.(framework.FilterPlugin)
	if !isFilter {
		if got := scoresOf(t, plugin, pod, nodes[1:]...); !equal(got, 50, 50) {
			t.Errorf("pod %d: scores %v, want 50 for both GPU hosts", of, got)
		}
		return
	}
	var passed []string
	for _, node := range nodes {
		info := framework.NewNodeInfo()
		info.SetNode(node)
		status := filter.Filter(context.Background(), nil, pod, info)
		if status.Code() != framework.Success && status.Code() != framework.UnschedulableAndUnresolvable {
			t.Errorf("pod %d on %s: %v", of, node.Name, status)
		}
		if status.IsSuccess() {
			passed = append(passed, node.Name)
		}
	}
	if strings.Join(passed, " ") != strings.Join(passes[of], " ") {
		t.Errorf("pod %d passes on %v, want %v", of, passed, passes[of])
	}
}
