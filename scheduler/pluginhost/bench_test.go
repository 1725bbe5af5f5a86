package pluginhost

import (
	"context"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/workload"
)

func BenchmarkFilter(b *testing.B) {
	nodes := make([]*v1.Node, 1000)
	for i := range nodes {
		nodes[i] = workload.GPUHost(fmt.Sprintf("node-%d", i))
	}
	handle := cluster(b, nodes)
	infos, err := handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []struct {
		name string
		off  bool
	}{{"remembered", false}, {"called", true}} {
		s, err := testHost(clock.RealClock{}, RecheckOneIn).newSlot(context.Background(), "GPUFilter",
			Args{AllowUnmetered: true, GuestURL: ourModules(b)["gpu-filter"]}, handle)
		if err != nil {
			b.Fatal(err)
		}
		if mode.off {
			s.current.Load().memo.TurnOff()
		}
		for _, pod := range []struct {
			verdict string
			pod     *v1.Pod
		}{{"passes", podOn("p", "", "nvidia.com/gpu", "1")}, {"rejected", podOn("p", "", "cpu", "1")}} {
			b.Run(mode.name+"/"+pod.verdict+"/parallel", func(b *testing.B) {
				state := upstream.NewCycleState()
				for _, info := range infos {
					s.Filter(context.Background(), state, pod.pod, info)
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(next *testing.PB) {
					for i := 0; next.Next(); i++ {
						s.Filter(context.Background(), state, pod.pod, infos[i%len(infos)])
					}
				})
			})
			b.Run(mode.name+"/"+pod.verdict, func(b *testing.B) {
				state := upstream.NewCycleState()
				for _, info := range infos {
					s.Filter(context.Background(), state, pod.pod, info)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					s.Filter(context.Background(), state, pod.pod, infos[i%len(infos)])
				}
			})
		}
	}
}
