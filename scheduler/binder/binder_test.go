package binder

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
)

type handle struct {
	framework.Handle
	client kubernetes.Interface
	cacher *cacher
}

func (h handle) ClientSet() kubernetes.Interface { return h.client }
func (h handle) APICacher() framework.APICacher {
	if h.cacher == nil {
		return nil
	}
	return h.cacher
}

// cacher is the scheduler's dispatcher of API calls.
type cacher struct {
	framework.APICacher
	sent *v1.Binding
}

func (c *cacher) BindPod(binding *v1.Binding) (<-chan error, error) {
	c.sent = binding
	finished := make(chan error, 1)
	finished <- errors.New("the dispatcher says why")
	return finished, nil
}

func (*cacher) WaitOnFinish(_ context.Context, finished <-chan error) error { return <-finished }

// bound is the binding that a plugin sends about a pod of the namespace team.
func bound(t *testing.T, binder framework.Plugin, client *fake.Clientset) (*v1.Binding, *framework.Status) {
	t.Helper()
	var sent *v1.Binding
	client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "binding" {
			return false, nil, nil
		}
		sent = action.(clienttesting.CreateAction).GetObject().(*v1.Binding)
		return true, nil, nil
	})
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "p", UID: "u"}}
	status := binder.(framework.BindPlugin).Bind(context.Background(), upstream.NewCycleState(), pod, "n")
	return sent, status
}

func made(t *testing.T, versions map[string]string) (framework.Plugin, framework.Plugin, *fake.Clientset) {
	t.Helper()
	client := fake.NewSimpleClientset()
	ours, err1 := Factory(func(framework.CycleState) map[string]string { return versions })(t.Context(), nil, handle{client: client})
	upstreams, err2 := defaultbinder.New(t.Context(), nil, handle{client: client})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return ours, upstreams, client
}

func TestAPodIsBoundAsUpstreamBindsItAndSaysWhichVersionsPlacedIt(t *testing.T) {
	ours, upstreams, client := made(t, map[string]string{"GPUFilter": "sha256:0a1b", "BinPackScore": "sha256:2c3d"})
	want, _ := bound(t, upstreams, client)
	got, status := bound(t, ours, client)
	if !status.IsSuccess() {
		t.Fatal(status)
	}
	if want := `{"BinPackScore":"sha256:2c3d","GPUFilter":"sha256:0a1b"}`; got.Annotations["weir.dev/placed-by"] != want {
		t.Errorf("the pod says %q, want %q", got.Annotations, want)
	}
	if got.Annotations = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("it sends %v and upstream's sends %v", got, want)
	}
}

func TestAPodThatNoPluginHadASayAboutIsBoundWithoutAWord(t *testing.T) {
	ours, upstreams, client := made(t, nil)
	want, _ := bound(t, upstreams, client)
	if got, _ := bound(t, ours, client); !reflect.DeepEqual(got, want) {
		t.Errorf("it sends %v and upstream's sends %v", got, want)
	}
}

func TestABindingThatIsRefusedIsAnErrorWithTheReason(t *testing.T) {
	ours, _, client := made(t, nil)
	client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the pod is gone")
	})
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "p"}}
	status := ours.(framework.BindPlugin).Bind(context.Background(), upstream.NewCycleState(), pod, "n")
	if status.Code() != framework.Error || !strings.Contains(status.Message(), "the pod is gone") {
		t.Errorf("the status is %v", status)
	}
}

func TestWhereTheSchedulerHasADispatcherOfCallsABindingGoesThroughIt(t *testing.T) {
	dispatcher := &cacher{}
	ours, err := Factory(func(framework.CycleState) map[string]string { return map[string]string{"GPUFilter": "sha256:0a1b"} })(t.Context(), nil, handle{cacher: dispatcher})
	if err != nil {
		t.Fatal(err)
	}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "p", UID: "u"}}
	status := ours.(framework.BindPlugin).Bind(t.Context(), upstream.NewCycleState(), pod, "n")
	if dispatcher.sent == nil || dispatcher.sent.Target.Name != "n" || dispatcher.sent.Annotations["weir.dev/placed-by"] == "" {
		t.Errorf("it sends %v", dispatcher.sent)
	}
	if !strings.Contains(status.Message(), "the dispatcher says why") {
		t.Errorf("the status is %v", status)
	}
}
