package report

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"
)

// replica is a writer whose clock stands still until the test moves it.
type replica struct {
	*Writer
	client  *fake.Clientset
	clock   *testingclock.FakeClock
	written chan Document
	digest  string
	failure error
}

func start(t *testing.T, identity Identity, objects ...runtime.Object) *replica {
	t.Helper()
	r := &replica{
		client: fake.NewClientset(objects...), written: make(chan Document, 100), digest: "sha256:1",
		clock: testingclock.NewFakeClock(time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)),
	}
	r.client.PrependReactor("patch", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if err := r.failure; err != nil {
			r.written <- Document{}
			return true, nil, err
		}
		var applied v1.ConfigMap
		var says Document
		if err := json.Unmarshal(action.(clienttesting.PatchAction).GetPatch(), &applied); err != nil {
			return true, nil, err
		}
		if err := json.Unmarshal([]byte(applied.Data[Key]), &says); err != nil {
			return true, nil, err
		}
		r.written <- says
		return false, nil, nil
	})
	r.Writer = NewWriter(identity, r.client, r.clock, func() []Plugin { return []Plugin{{Plugin: "GPUFilter", Digest: r.digest}} })
	return r
}

func (r *replica) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// next waits for what is written next.
func (r *replica) next(t *testing.T) Document {
	t.Helper()
	select {
	case document := <-r.written:
		return document
	case <-time.After(time.Minute):
		t.Fatal("nothing is written")
		return Document{}
	}
}

// pass lets time go by once the writer waits for it.
func (r *replica) pass(t *testing.T, time time.Duration) {
	t.Helper()
	for !r.clock.HasWaiters() {
		select {
		case <-t.Context().Done():
			t.Fatal("the writer waits for nothing")
		default:
		}
	}
	r.clock.Step(time)
}

func TestTheReportIsWrittenAtTheStartAndSoonAfterAChangeAndEveryHalfMinute(t *testing.T) {
	r := start(t, Identity{Replica: "a"})
	r.run(t)
	if first := r.next(t); first.Replica != "a" || first.Plugins[0].Digest != "sha256:1" {
		t.Errorf("the first report is %+v", first)
	}

	r.pass(t, between)
	r.digest = "sha256:2"
	r.Changed()
	if second := r.next(t); second.Plugins[0].Digest != "sha256:2" {
		t.Errorf("after the change it is %+v", second)
	}

	r.pass(t, between)
	r.pass(t, Renew-between)
	if third := r.next(t); !third.RenewedAt.Time.Equal(r.clock.Now().Truncate(time.Second)) {
		t.Errorf("half a minute later it was renewed at %v, and it is %v", third.RenewedAt, r.clock.Now())
	}
}

func TestTheReportIsAConfigMapOfTheReplicasOwnThatGoesWithItsPod(t *testing.T) {
	r := start(t, Identity{Replica: "pod-1", Pod: "pod-1", PodUID: "u1"})
	r.run(t)
	r.next(t)
	r.pass(t, between) // it has been written when the writer waits
	written, err := r.client.CoreV1().ConfigMaps("weir-system").Get(t.Context(), "weir-plugins-pod-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if written.Labels["weir.dev/component"] != "plugins" || len(written.OwnerReferences) != 1 || written.OwnerReferences[0].UID != "u1" {
		t.Errorf("it was written as %+v", written.ObjectMeta)
	}
	if !strings.Contains(written.Data["plugins.json"], `"plugin":"GPUFilter"`) {
		t.Errorf("it says %q", written.Data)
	}
}

func TestAReportThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	r := start(t, Identity{Replica: "a"})
	r.failure = errors.New("the API server is away")
	r.run(t)
	r.next(t)
	r.pass(t, between) // the failed one is over when the writer waits
	r.failure = nil
	r.pass(t, Renew-between)
	if got := r.next(t); got.Replica != "a" {
		t.Errorf("it was written as %+v", got)
	}
}

func TestReportsOfDeadReplicasAreTakenAwayAndNothingElse(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	named := func(name, text string) *v1.ConfigMap {
		return &v1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, Labels: map[string]string{Label: LabelValue}},
			Data:       map[string]string{Key: text},
		}
	}
	renewed := func(ago time.Duration) string {
		text, err := json.Marshal(Document{RenewedAt: metav1.NewTime(now.Add(-ago))})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	r := start(t, Identity{Replica: "a"}, named("weir-plugins-dead", renewed(11*time.Minute)), named("weir-plugins-alive", renewed(9*time.Minute)),
		named("weir-plugins-strange", "no JSON"), named("special-hardware", renewed(time.Hour)))

	if err := r.forgetDead(t.Context()); err != nil {
		t.Fatal(err)
	}

	left, err := r.client.CoreV1().ConfigMaps(Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, each := range left.Items {
		names = append(names, each.Name)
	}
	slices.Sort(names)
	if want := []string{"special-hardware", "weir-plugins-alive", "weir-plugins-strange"}; !slices.Equal(names, want) {
		t.Errorf("%v are left, want %v", names, want)
	}
}

func TestAFailureToTidyUpIsAnErrorThatSaysWhat(t *testing.T) {
	r := start(t, Identity{Replica: "a"})
	r.client.PrependReactor("list", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(v1.Resource("configmaps"), "", errors.New("no role"))
	})
	if err := r.forgetDead(t.Context()); err == nil || !strings.Contains(err.Error(), "dead replicas") {
		t.Errorf("got %v", err)
	}
}
