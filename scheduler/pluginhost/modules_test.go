package pluginhost

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/module"
)

// ourModules are the modules of plugins/, built by `make plugins`; WEIR_PLUGINS names another folder with them.
func ourModules(t testing.TB) map[string]string {
	t.Helper()
	sources, err := os.ReadDir(filepath.Join("..", "..", "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	folder := os.Getenv("WEIR_PLUGINS")
	if folder == "" {
		if folder, err = filepath.Abs(filepath.Join("..", "..", "target", "plugins")); err != nil {
			t.Fatal(err)
		}
	}
	urls := map[string]string{}
	for _, source := range sources {
		path := filepath.Join(folder, source.Name()+".wasm")
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make plugins` first, or set WEIR_PLUGINS", err)
		}
		urls[source.Name()] = "file://" + path
	}
	return urls
}

func TestOurOwnModulesLoadAndArePure(t *testing.T) {
	for name, url := range ourModules(t) {
		t.Run(name, func(t *testing.T) {
			startWith(t, Args{AllowUnmetered: true, GuestURL: url}, cluster(t, nil))
			m, err := module.ReadFile(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			if !m.Pure {
				t.Error("it does not declare itself pure, so it is slower than it needs to be")
			}
		})
	}
}

func TestOurModulesReadWhatTheHostTells(t *testing.T) {
	labelled := node("special", "nvidia.com/gpu", "8")
	labelled.Labels["gpu-node-label-model"] = "G3"
	general := node("general", "nvidia.com/gpu", "8")
	general.Labels["gpu-node-label-model"] = "T4"
	handle := cluster(t, []*v1.Node{node("cpu"), labelled, general}, podOn("p1", "general", "nvidia.com/gpu", "4"))
	urls := ourModules(t)
	gpuPod, cpuPod := podOn("p", "", "nvidia.com/gpu", "1"), podOn("p", "", "cpu", "1")

	gpu := startWith(t, Args{AllowUnmetered: true, GuestURL: urls["gpu-filter"]}, handle)
	sku := startWith(t, Args{AllowUnmetered: true, GuestURL: urls["sku-exclusion-filter"], GuestConfig: `{"models":[{"model":"G3","gpusPerHost":8}]}`}, handle)
	for _, test := range []struct {
		what   string
		plugin framework.Plugin
		pod    *v1.Pod
		node   string
		want   framework.Code
	}{
		{"a GPU pod on a CPU host", gpu, gpuPod, "cpu", framework.UnschedulableAndUnresolvable},
		{"a GPU pod on a GPU host", gpu, gpuPod, "general", framework.Success},
		{"a CPU pod on a GPU host", gpu, cpuPod, "general", framework.UnschedulableAndUnresolvable},
		{"a general pod on special hardware", sku, gpuPod, "special", framework.UnschedulableAndUnresolvable},
		{"a general pod on general hardware", sku, gpuPod, "general", framework.Success},
	} {
		if got := filterWith(test.plugin, test.pod, info(t, handle, test.node)); got.Code() != test.want {
			t.Errorf("%s: %v %q, want %v", test.what, got.Code(), got.Message(), test.want)
		}
	}

	pack := startWith(t, Args{AllowUnmetered: true, GuestURL: urls["binpack-score"]}, handle).(framework.ScorePlugin)
	used, err1 := pack.Score(t.Context(), upstream.NewCycleState(), gpuPod, info(t, handle, "general"))
	empty, err2 := pack.Score(t.Context(), upstream.NewCycleState(), gpuPod, info(t, handle, "special"))
	if !err1.IsSuccess() || !err2.IsSuccess() || used <= empty {
		t.Errorf("the host with 4 of 8 GPUs in use scores %d, the empty one %d (%v %v)", used, empty, err1, err2)
	}
}
