package nodeview

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leftOut are labels and annotations that no guest is told: by most of them controllers number the pods of one template,
// so they are the pod's name in another form.
var leftOut = []string{
	"apps.kubernetes.io/pod-index",
	"batch.kubernetes.io/job-completion-index",
	"statefulset.kubernetes.io/pod-name",
	"kubectl.kubernetes.io/last-applied-configuration", // the whole pod as its author wrote it, its name included
	"pod.weir.dev/packed",                              // older hosts told a pod inside it, and modules of the time still look there
}

// Pod builds what a pure guest is told of a pod: what its template says about where it may run. Left out is
//
//   - who the pod is: name, UID, versions, times, owners, managed fields, status, host name, and its number among its
//     siblings;
//   - what only its own containers see: commands, environment, mounts, probes, and volumes that bind it to no place.
//     API servers give each pod a token volume with a random name; with it no two pods would ever be alike.
//
// What is left is the same for all pods of one template, and a verdict of a pure guest on one of them is its verdict on
// all: it cannot know which of them it was asked about. The result shares what is in it with the pod and must not be
// written to.
func Pod(real *v1.Pod) *v1.Pod {
	spec := real.Spec
	spec.Hostname = ""
	spec.EphemeralContainers = nil
	spec.InitContainers = containers(real.Spec.InitContainers)
	spec.Containers = containers(real.Spec.Containers)
	spec.Volumes = placing(real.Spec.Volumes)
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   real.Namespace,
			Labels:      withoutLeftOut(real.Labels),
			Annotations: withoutLeftOut(real.Annotations),
		},
		Spec: spec,
	}
}

// containers keeps what a container needs of a node.
func containers(real []v1.Container) []v1.Container {
	if real == nil {
		return nil
	}
	told := make([]v1.Container, len(real))
	for i := range real {
		told[i] = v1.Container{
			Name:          real[i].Name,
			Image:         real[i].Image,
			Ports:         real[i].Ports,
			Resources:     real[i].Resources,
			RestartPolicy: real[i].RestartPolicy,
		}
	}
	return told
}

// placing keeps the volumes that may exist in some places only.
func placing(real []v1.Volume) []v1.Volume {
	var told []v1.Volume
	for _, volume := range real {
		if volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil {
			told = append(told, volume)
		}
	}
	return told
}

// withoutLeftOut copies only where there is something to leave out.
func withoutLeftOut(real map[string]string) map[string]string {
	if !slices.ContainsFunc(leftOut, func(key string) bool { _, ok := real[key]; return ok }) {
		return real
	}
	told := make(map[string]string, len(real))
	for key, value := range real {
		if !slices.Contains(leftOut, key) {
			told[key] = value
		}
	}
	return told
}
