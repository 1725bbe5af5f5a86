package load

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func object(taken string, window any, usage map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "weir.dev/v1alpha1", "kind": "NodeLoad",
		"metadata": map[string]any{"name": "n1"},
		"spec":     map[string]any{"sampleTime": taken, "windowSeconds": window, "usage": usage},
	}}
}

func at(t time.Time) string { return t.Format(time.RFC3339) }

func TestUsageIsReadInTheSchedulersBaseUnits(t *testing.T) {
	store := NewStore(clocktesting.NewFakePassiveClock(noon))
	err := store.Put(object(at(noon), int64(30), map[string]any{
		"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "2500m", "example.com/cpu": "3",
	}))
	if err != nil {
		t.Fatal(err)
	}
	// A part of a device counts as a whole one, as in a Quantity's own conversion.
	want := map[v1.ResourceName]int64{"cpu": 1500, "memory": 1073741824, "nvidia.com/gpu": 3, "example.com/cpu": 3}
	for name, amount := range store.Of("n1").Usage {
		if amount != want[name] {
			t.Errorf("%s is %d, want %d", name, amount, want[name])
		}
	}
}

func TestASampleCountsFromWhenItWasTakenAndNotFromWhenItArrived(t *testing.T) {
	store := NewStore(clocktesting.NewFakePassiveClock(noon))
	if err := store.Put(object(at(noon.Add(-time.Minute)), int64(30), map[string]any{"cpu": "1"})); err != nil {
		t.Fatal(err)
	}
	if got, want := store.Of("n1").Expires(3*time.Minute), noon.Add(2*time.Minute); !got.Equal(want) {
		t.Errorf("it expires at %v, want %v", got, want)
	}
}

func TestANodeWhoseClockIsAheadGetsNoMoreTrust(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(noon)
	store := NewStore(now)
	ahead := object(at(noon.Add(time.Hour)), int64(30), map[string]any{"cpu": "1"})
	if err := store.Put(ahead); err != nil {
		t.Fatal(err)
	}
	now.SetTime(noon.Add(time.Minute))
	if err := store.Put(ahead); err != nil { // the same sample again, from a renewed watch
		t.Fatal(err)
	}
	if got, want := store.Of("n1").Expires(3*time.Minute), noon.Add(3*time.Minute); !got.Equal(want) {
		t.Errorf("it expires at %v, want %v: three minutes after it was first seen", got, want)
	}
}

func TestASampleThatMakesNoSenseIsNamedAndLeavesNothingKnown(t *testing.T) {
	usage := map[string]any{"cpu": "1"}
	for want, bad := range map[string]*unstructured.Unstructured{
		"spec.sampleTime":    object("yesterday", int64(30), usage),
		"spec.windowSeconds": object(at(noon), int64(0), usage),
		"spec.usage is":      object(at(noon), int64(30), nil),
		"spec.usage.cpu":     object(at(noon), int64(30), map[string]any{"cpu": "much"}),
		"NodeLoad n1":        object(at(noon), "long", usage),
	} {
		t.Run(want, func(t *testing.T) {
			store := NewStore(clocktesting.NewFakePassiveClock(noon))
			if err := store.Put(object(at(noon), int64(30), usage)); err != nil {
				t.Fatal(err)
			}
			err := store.Put(bad)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
			if store.Of("n1") != nil {
				t.Error("the sample before is still told")
			}
		})
	}
}

func TestTheStoreFollowsTheAPIServer(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{Resource: "NodeLoadList"},
		object(at(noon), int64(30), map[string]any{"cpu": "1"}))
	watching := make(chan struct{})
	client.PrependWatchReactor("nodeloads", func(clienttesting.Action) (bool, watch.Interface, error) {
		defer close(watching)
		events, err := client.Tracker().Watch(Resource, "")
		return true, events, err
	})
	store := NewStore(clocktesting.NewFakePassiveClock(noon))
	go store.follow(ctx, client)

	<-watching // the fake loses what happens between list and watch
	until(t, func() bool { return store.Of("n1") != nil })
	first := store.Of("n1")
	later := object(at(noon.Add(time.Minute)), int64(30), map[string]any{"cpu": "2"})
	if err := client.Tracker().Update(Resource, later, ""); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return store.Of("n1") != first })
	if got := store.Of("n1").Usage["cpu"]; got != 2000 {
		t.Errorf("cpu is %d, want 2000", got)
	}
	if err := client.Tracker().Delete(Resource, "", "n1"); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return store.Of("n1") == nil })
}

// until waits for what another goroutine does; the test's own deadline is the only limit.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal("it did not happen")
		case <-time.After(time.Millisecond):
		}
	}
}
