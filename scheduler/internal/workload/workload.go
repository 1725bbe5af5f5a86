// Package workload holds the nodes that benchmarks measure with.
package workload

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GPUHost is a node of the size that Nodes of real clusters have: 40 labels and 50 images, 12 KB in all.
func GPUHost(name string) *v1.Node {
	labels := map[string]string{"kubernetes.io/hostname": name, "gpu-node-label-model": "T4"}
	for i := range 38 {
		labels[fmt.Sprintf("example.com/some-label-of-a-node-%d", i)] = "some-value"
	}
	var images []v1.ContainerImage
	for i := range 50 {
		images = append(images, v1.ContainerImage{
			Names:     []string{fmt.Sprintf("registry.example.com/some/repository-%d@sha256:%s", i, strings.Repeat("0123456789abcdef", 4))},
			SizeBytes: 1 << 30,
		})
	}
	offered := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("96"), v1.ResourceMemory: resource.MustParse("768Gi"),
		v1.ResourcePods: resource.MustParse("110"), "nvidia.com/gpu": resource.MustParse("8"),
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status: v1.NodeStatus{
			Capacity: offered, Allocatable: offered, Images: images,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}
}
