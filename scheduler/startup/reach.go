package startup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

const (
	// patience is for how long a scheduler that starts waits for an API server that does not answer. A load balancer
	// that changes over takes seconds; a wrong address stays wrong, and upstream would try it for ever in silence.
	patience = 15 * time.Second
	// between is the time from one try to the next.
	between = 500 * time.Millisecond
)

// Reach ends the start of a scheduler whose API server does not answer. Later absences are survived as upstream
// survives them.
type Reach struct {
	once sync.Once
	err  error
}

// Before makes a plugin only after the API server answered once.
func (r *Reach) Before(factory frameworkruntime.PluginFactory) frameworkruntime.PluginFactory {
	return func(ctx context.Context, args runtime.Object, handle framework.Handle) (framework.Plugin, error) {
		r.once.Do(func() { r.err = answers(ctx, handle.KubeConfig()) })
		if r.err != nil {
			return nil, r.err
		}
		return factory(ctx, args, handle)
	}
}

// answers waits for any answer of the API server, a refusal included: whether the scheduler may do what it needs is
// found out where it does it.
func answers(ctx context.Context, config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("the kubeconfig cannot be used: %w", err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, between, patience, true, func(context.Context) (bool, error) {
		_, last = client.ServerVersion()
		var refusal apierrors.APIStatus
		return last == nil || errors.As(last, &refusal), nil
	})
	if err != nil {
		return fmt.Errorf("the API server at %s does not answer; check the kubeconfig's server: %w", config.Host, errors.Join(last, context.Cause(ctx)))
	}
	return nil
}
