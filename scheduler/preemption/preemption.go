// Package preemption is kube-scheduler's own preemption for a profile that serves pods which Weir does not manage: it takes
// pods of its kind only.
//
// Upstream's takes whatever has a lower priority. In a process that serves the cluster's default-scheduler too, any tenant
// with a PriorityClass would then take admitted pods of every pool, past their entitlements. Which of those give way is the
// sidecar's decision, and nobody goes around it but what the cluster cannot do without.
package preemption

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"sigs.k8s.io/json"
)

// Name is the plugin's in a scheduler's configuration. A profile that enables it disables DefaultPreemption.
const Name = "UnmanagedPreemption"

// Args are the plugin's in pluginConfig.
type Args struct {
	// ExemptNamespaces are those whose pods of system components may take preemptible pods that Weir has admitted, as in the
	// sidecar's settings; kube-system if nothing is said.
	ExemptNamespaces []string `json:"exemptNamespaces"`
}

// plugin is upstream's under a name of its own.
type plugin struct {
	*defaultpreemption.DefaultPreemption
}

// Name implements framework.Plugin.
func (plugin) Name() string { return Name }

// upstreamArgs are DefaultPreemption's when nothing is said.
var upstreamArgs = config.DefaultPreemptionArgs{MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100}

// Factory makes the plugin for a profile.
func Factory() frameworkruntime.PluginFactory {
	return func(ctx context.Context, raw runtime.Object, handle framework.Handle) (framework.Plugin, error) {
		args, err := parseArgs(raw)
		if err != nil {
			return nil, err
		}
		features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
		made, err := defaultpreemption.New(ctx, &upstreamArgs, handle, features)
		if err != nil {
			return nil, err
		}
		made.IsEligiblePod = func(_ framework.NodeInfo, victim preemption.Victim, preemptor *v1.Pod) bool {
			return !slices.ContainsFunc(victim.Pods(), func(pod framework.PodInfo) bool { return !args.mayTake(pod.GetPod(), preemptor) })
		}
		return plugin{made}, nil
	}
}

func parseArgs(raw runtime.Object) (Args, error) {
	args := Args{ExemptNamespaces: []string{"kube-system"}}
	if raw == nil {
		return args, nil
	}
	unknown, ok := raw.(*runtime.Unknown)
	if !ok {
		return args, fmt.Errorf("args are a %T; expected exemptNamespaces", raw)
	}
	strict, err := json.UnmarshalStrict(unknown.Raw, &args)
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	if err != nil {
		return args, fmt.Errorf("args: %w (known is exemptNamespaces)", err)
	}
	return args, nil
}

// Keys of pods that Weir manages, as the webhook and the sidecar write them; policy/model/src/names.rs has them all. The
// policy that guards them keeps tenants from writing the first two.
const (
	admittedAs  = "weir.dev/admitted-as"
	preemptible = "weir.dev/preemptible"
	pool        = "weir.dev/pool"
	ourProfile  = "weir-scheduler"
)

// isManaged says whether a pod runs because Weir admitted it.
func isManaged(pod *v1.Pod) bool {
	_, admitted := pod.Annotations[admittedAs]
	_, named := pod.Annotations[pool]
	_, labelled := pod.Labels[pool]
	return admitted || named && labelled || pod.Spec.SchedulerName == ourProfile
}

// mayTake says whether a pod may be taken away for another one, as far as Weir is concerned.
func (a Args) mayTake(victim, preemptor *v1.Pod) bool {
	switch {
	case !isManaged(victim):
		return true
	case victim.Annotations[preemptible] != "true":
		return false
	default:
		return isCritical(preemptor) && slices.Contains(a.ExemptNamespaces, preemptor.Namespace)
	}
}

// isCritical is said of components without which the cluster does not work.
func isCritical(pod *v1.Pod) bool {
	return pod.Spec.PriorityClassName == "system-node-critical" || pod.Spec.PriorityClassName == "system-cluster-critical"
}
