package main

import (
	"math/rand"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// requestVector is a pod, and what it takes from a node in kube-scheduler's base units. What is 0 is left out.
type requestVector struct {
	Spec     podSpec           `json:"spec"`
	Status   []v1.ResourceList `json:"allocated,omitempty"` // by container; empty for one without a status
	Requests map[string]int64  `json:"requests"`
}

// podSpec is what of a pod decides its requests, with the names of the real thing.
type podSpec struct {
	InitContainers []container       `json:"initContainers,omitempty"`
	Containers     []container       `json:"containers"`
	Overhead       v1.ResourceList   `json:"overhead,omitempty"`
	Resources      *podLevelRequests `json:"resources,omitempty"`
}

type podLevelRequests struct {
	Requests v1.ResourceList `json:"requests"`
}

type container struct {
	RestartPolicy *v1.ContainerRestartPolicy `json:"restartPolicy,omitempty"`
	Resources     podLevelRequests           `json:"resources"`
}

func requests() []requestVector {
	random := rand.New(rand.NewSource(2))
	vectors := make([]requestVector, 500)
	for i := range vectors {
		pod := randomPod(random)
		vectors[i] = requestVector{Spec: specOf(pod), Status: allocatedOf(pod), Requests: requestsOf(pod)}
	}
	return vectors
}

func requestsOf(pod *v1.Pod) map[string]int64 {
	amounts := map[string]int64{}
	for name, quantity := range resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{UseStatusResources: true}) {
		amount := quantity.Value()
		if name == v1.ResourceCPU {
			amount = quantity.MilliValue()
		}
		if amount != 0 {
			amounts[string(name)] = amount
		}
	}
	return amounts
}

func specOf(pod *v1.Pod) podSpec {
	spec := podSpec{Overhead: pod.Spec.Overhead}
	if pod.Spec.Resources != nil {
		spec.Resources = &podLevelRequests{pod.Spec.Resources.Requests}
	}
	for _, c := range pod.Spec.InitContainers {
		spec.InitContainers = append(spec.InitContainers, container{c.RestartPolicy, podLevelRequests{c.Resources.Requests}})
	}
	for _, c := range pod.Spec.Containers {
		spec.Containers = append(spec.Containers, container{c.RestartPolicy, podLevelRequests{c.Resources.Requests}})
	}
	return spec
}

func allocatedOf(pod *v1.Pod) []v1.ResourceList {
	byName := map[string]v1.ResourceList{}
	for _, status := range pod.Status.ContainerStatuses {
		byName[status.Name] = status.Resources.Requests
	}
	if len(byName) == 0 {
		return nil
	}
	var all []v1.ResourceList
	for _, c := range pod.Spec.Containers {
		all = append(all, byName[c.Name])
	}
	return all
}

func randomPod(random *rand.Rand) *v1.Pod {
	pod := &v1.Pod{}
	for i := range 1 + random.Intn(3) {
		pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{
			Name:      string(rune('a' + i)),
			Resources: v1.ResourceRequirements{Requests: randomList(random)},
		})
	}
	for range random.Intn(5) {
		c := v1.Container{Resources: v1.ResourceRequirements{Requests: randomList(random)}}
		if random.Intn(2) == 0 {
			always := v1.ContainerRestartPolicyAlways
			c.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	if random.Intn(3) == 0 {
		pod.Spec.Overhead = randomList(random)
	}
	if random.Intn(6) == 0 {
		pod.Spec.Resources = &v1.ResourceRequirements{Requests: randomList(random)}
	}
	if random.Intn(5) == 0 {
		for _, c := range pod.Spec.Containers {
			if random.Intn(3) > 0 {
				pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, v1.ContainerStatus{
					Name: c.Name, Resources: &v1.ResourceRequirements{Requests: randomList(random)},
				})
			}
		}
	}
	return pod
}

func randomList(random *rand.Rand) v1.ResourceList {
	texts := map[v1.ResourceName][]string{
		v1.ResourceCPU:              {"0", "1", "100m", "2500m", "0.3333333", "1u", "500000n", "96"},
		v1.ResourceMemory:           {"0", "1", "0.5", "100M", "1Gi", "1.5Gi", "333m", "64Ki", "1e9"},
		v1.ResourceEphemeralStorage: {"1Gi", "10G", "0.25"},
		"nvidia.com/gpu":            {"0", "1", "2", "8"},
		"example.com/nic":           {"1", "4"},
		"hugepages-2Mi":             {"2Mi", "128Mi"},
	}
	names := []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage,
		"nvidia.com/gpu", "example.com/nic", "hugepages-2Mi"}
	list := v1.ResourceList{}
	for i, name := range names {
		// The usual ones are usually there.
		if random.Intn(2+i) == 0 {
			choices := texts[name]
			list[name] = resource.MustParse(choices[random.Intn(len(choices))])
		}
	}
	return list
}
