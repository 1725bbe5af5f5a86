package guesttest

import (
	"context"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// realNode is as large as a Node of a production cluster: forty labels, fifty images, heartbeats.
func realNode() *v1.Node {
	node := trimmedNode()
	for i := range 40 {
		node.Labels[fmt.Sprintf("feature.node.kubernetes.io/some-feature-%02d", i)] = "true"
	}
	for i := range 50 {
		digest := fmt.Sprintf("%064d", i)
		node.Status.Images = append(node.Status.Images, v1.ContainerImage{
			Names:     []string{"registry.example/team/image@sha256:" + digest, fmt.Sprintf("registry.example/team/image:v%d", i)},
			SizeBytes: 1 << 30,
		})
	}
	for _, kind := range []v1.NodeConditionType{v1.NodeReady, v1.NodeMemoryPressure, v1.NodeDiskPressure, v1.NodePIDPressure} {
		node.Status.Conditions = append(node.Status.Conditions, v1.NodeCondition{
			Type: kind, Status: v1.ConditionFalse, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
			Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available",
		})
	}
	return node
}

// trimmedNode is what a host that trims tells of the same node.
func trimmedNode() *v1.Node {
	resources := v1.ResourceList{
		"cpu": resource.MustParse("96"), "memory": resource.MustParse("768Gi"), "pods": resource.MustParse("110"),
		"ephemeral-storage": resource.MustParse("1Ti"), "nvidia.com/gpu": resource.MustParse("8"),
	}
	node := node("n1", map[string]string{
		"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z1", "gpu-node-label-model": "T4",
	}, resources, resources)
	node.Annotations = map[string]string{"node.weir.dev/requested-pods": "7"}
	for resource, amount := range map[string]string{
		"cpu": "22000", "memory": "42949672960", "ephemeral-storage": "0", "nvidia.com/gpu": "3",
	} {
		node.Annotations["node.weir.dev/requested."+resource] = amount
	}
	return node
}

func BenchmarkFilter(b *testing.B) {
	pod := pod(v1.ResourceList{"cpu": resource.MustParse("4"), "nvidia.com/gpu": resource.MustParse("1")})
	benchmarkEach(b, func(b *testing.B, node *v1.Node) func() *framework.Status {
		filter := MustLoad(b, "gpu-filter", "", node).(framework.FilterPlugin)
		info := framework.NewNodeInfo()
		info.SetNode(node)
		return func() *framework.Status { return filter.Filter(context.Background(), nil, pod, info) }
	})
}

func BenchmarkScore(b *testing.B) {
	pod := pod(v1.ResourceList{"cpu": resource.MustParse("4"), "nvidia.com/gpu": resource.MustParse("1")})
	for _, plugin := range []string{"binpack-score", "loadaware-score"} {
		b.Run(plugin, func(b *testing.B) {
			benchmarkEach(b, func(b *testing.B, node *v1.Node) func() *framework.Status {
				score := MustLoad(b, plugin, "", node).(framework.ScorePlugin)
				return func() *framework.Status {
					_, status := score.Score(context.Background(), nil, pod, node.Name)
					return status
				}
			})
		})
	}
}

// benchmarkEach measures a call for a Node of real size and for a trimmed one.
func benchmarkEach(b *testing.B, prepare func(*testing.B, *v1.Node) func() *framework.Status) {
	for name, node := range map[string]*v1.Node{"real": realNode(), "trimmed": trimmedNode()} {
		b.Run(name, func(b *testing.B) {
			call := prepare(b, node)
			for b.Loop() {
				if status := call(); !status.IsSuccess() {
					b.Fatal(status)
				}
			}
		})
	}
}
