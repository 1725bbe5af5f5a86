package startup_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"weir.dev/scheduler/binder"
	"weir.dev/scheduler/internal/workload"
	"weir.dev/scheduler/pluginhost"
)

// BenchmarkCycle times what `make bench-schedule` cannot take apart: one scheduling cycle, from the pod to the node,
// without an API server, of the shipped profile and of the same without plugins. The two take turns, so that what else the
// machine does hits both; cpu-ns/cycle is what all threads of the process used.
func BenchmarkCycle(b *testing.B) {
	plugins := os.Getenv("WEIR_PLUGINS")
	if plugins == "" {
		b.Skip("WEIR_PLUGINS names no folder with our modules")
	}
	for _, nodes := range []int{1000, 5000} {
		for name, path := range map[string]string{"weir": shippedAs(b, plugins, nil), "upstream": shippedAs(b, plugins, withoutGuests)} {
			made, err := setUpWith(b, path, pluginhost.NewHost(clock.RealClock{}, pluginhost.RecheckOneIn))
			if err != nil {
				b.Fatal(err)
			}
			for i := range nodes {
				made.Cache.AddNode(klog.Background(), workload.GPUHost(fmt.Sprintf("node-%05d", i)))
			}
			b.Run(fmt.Sprintf("%s/%d", name, nodes), func(b *testing.B) { cycles(b, made) })
		}
	}
}

// cycles schedules the pods of four jobs, mixed.
func cycles(b *testing.B, on *scheduler.Scheduler) {
	profile := on.Profiles["weir-scheduler"]
	schedule := func(i int) {
		amounts := v1.ResourceList{
			v1.ResourceCPU: resource.MustParse(fmt.Sprint(1 + i%4)), v1.ResourceMemory: resource.MustParse("4Gi"),
			"nvidia.com/gpu": resource.MustParse("1"),
		}
		name := fmt.Sprintf("pod-%d-%d", b.N, i)
		pod := &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"job": fmt.Sprint(i % 4)}},
			Spec: v1.PodSpec{Containers: []v1.Container{{
				Name: "main", Resources: v1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}}},
		}
		info, err := upstream.NewPodInfo(pod)
		if err != nil {
			b.Fatal(err)
		}
		queued := &upstream.QueuedPodInfo{PodInfo: info}
		found, err := on.SchedulePod(context.Background(), profile, upstream.NewCycleState(), queued)
		if err != nil {
			b.Fatal(err)
		}
		assumed := pod.DeepCopy()
		assumed.Spec.NodeName = found.SuggestedHost
		if err := on.Cache.AssumePod(klog.Background(), assumed); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = on.Cache.ForgetPod(klog.Background(), assumed) })
	}
	const warm = 40 // the memo fills
	for i := range warm {
		schedule(i)
	}
	b.ReportAllocs()
	before := cpuTime()
	b.ResetTimer()
	for i := range b.N {
		schedule(warm + i)
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/cycle")
}

// shippedAs is the shipped configuration with its first profile changed.
func shippedAs(b *testing.B, plugins string, change func(profile map[string]any)) string {
	b.Helper()
	text, err := os.ReadFile("../../scheduler-config/weir.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		b.Fatal(err)
	}
	if change != nil {
		change(config["profiles"].([]any)[0].(map[string]any))
	}
	config["profiles"] = config["profiles"].([]any)[:1]
	changed, err := yaml.Marshal(config)
	if err != nil {
		b.Fatal(err)
	}
	return filled(b, string(changed), plugins)
}

// withoutGuests leaves upstream's plugins.
func withoutGuests(profile map[string]any) {
	guests := []string{binder.Name}
	profile["pluginConfig"] = slices.DeleteFunc(profile["pluginConfig"].([]any), func(entry any) bool {
		named := entry.(map[string]any)
		_, guest := named["args"].(map[string]any)["guestURL"]
		if guest {
			guests = append(guests, named["name"].(string))
		}
		return guest
	})
	plugins := profile["plugins"].(map[string]any)
	delete(plugins, "preScore") // without BinPackScore, NodeResourcesFit's score is the packing
	delete(plugins, "score")
	multi := plugins["multiPoint"].(map[string]any)
	for set, gone := range map[string][]string{"enabled": guests, "disabled": {"DefaultBinder"}} {
		multi[set] = slices.DeleteFunc(multi[set].([]any), func(entry any) bool {
			return slices.Contains(gone, entry.(map[string]any)["name"].(string))
		})
	}
}

// cpuTime is what all threads of the process have used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it takes nothing that could be wrong
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
