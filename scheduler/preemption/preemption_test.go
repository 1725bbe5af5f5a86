package preemption

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func pod(namespace, class string, annotations map[string]string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: namespace, Annotations: annotations},
		Spec:       v1.PodSpec{PriorityClassName: class},
	}
}

func TestOnlyPodsThatNobodyAdmittedAreTakenButForSystemComponentsThatTakePreemptibleOnes(t *testing.T) {
	unmanaged := pod("tenant", "", nil)
	firm := pod("tenant", "", map[string]string{admittedAs: "WithinEntitlement", preemptible: "false"})
	loan := pod("tenant", "", map[string]string{admittedAs: "OnLoan", preemptible: "true"})
	adopted := pod("tenant", "", map[string]string{pool: "a"})
	adopted.Labels = map[string]string{pool: "a"}
	released := pod("tenant", "", nil)
	released.Spec.SchedulerName = ourProfile
	onlyLabelled := pod("tenant", "", nil) // a label alone is a tenant's
	onlyLabelled.Labels = map[string]string{pool: "a"}
	args := Args{ExemptNamespaces: []string{"kube-system"}}
	for name, test := range map[string]struct {
		preemptor *v1.Pod
		takes     []*v1.Pod
		spares    []*v1.Pod
	}{
		"a tenant's pod of high priority":      {pod("tenant", "high", nil), []*v1.Pod{unmanaged, onlyLabelled}, []*v1.Pod{firm, loan, adopted, released}},
		"one that calls itself critical":       {pod("tenant", "system-node-critical", nil), []*v1.Pod{unmanaged}, []*v1.Pod{firm, loan, adopted, released}},
		"a system component":                   {pod("kube-system", "system-cluster-critical", nil), []*v1.Pod{unmanaged, loan}, []*v1.Pod{firm, adopted, released}},
		"a pod beside it that is not critical": {pod("kube-system", "high", nil), []*v1.Pod{unmanaged}, []*v1.Pod{firm, loan, adopted, released}},
	} {
		for _, victim := range test.takes {
			if !args.mayTake(victim, test.preemptor) {
				t.Errorf("%s does not take %v", name, victim)
			}
		}
		for _, victim := range test.spares {
			if args.mayTake(victim, test.preemptor) {
				t.Errorf("%s takes %v", name, victim)
			}
		}
	}
}

func TestArgsThatAreNotKnownAreRefusedWithTheirName(t *testing.T) {
	for text, want := range map[string]string{
		`{"exemptNamespace": ["kube-system"]}`: `unknown field "exemptNamespace"`,
		`{"exemptNamespaces": "kube-system"}`:  "exemptNamespaces",
	} {
		if _, err := parseArgs(&runtime.Unknown{Raw: []byte(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if args, err := parseArgs(nil); err != nil || len(args.ExemptNamespaces) != 1 {
		t.Errorf("without args: %v (%v)", args, err)
	}
}
