// Package load keeps what the agents of the nodes measured: the last NodeLoad of each node.
//
// It decides what a well-formed sample is. Whether a sample is still fresh is for the reader to say, by its own clock
// and its own patience; Sample.Expires only does the arithmetic.
package load

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
)

// Sample is one measurement of one node. It never changes.
type Sample struct {
	// Taken is when the window ended, by the clock of the node.
	Taken time.Time

	// Window is the time that the figures are averages over.
	Window time.Duration

	// Usage is what everything on the node used, by resource, in kube-scheduler's base unit: milli-CPU for cpu, bytes for
	// memory and disk, pieces for everything else.
	Usage map[v1.ResourceName]int64

	// seen is when this host first saw the sample, by its own clock.
	seen time.Time
}

// Begin is when the window began: what was placed later is not in the figures, or only in part.
func (s *Sample) Begin() time.Time { return s.Taken.Add(-s.Window) }

// Expires is when the sample is too old for somebody who trusts samples for so long. A node whose clock is ahead does
// not get more trust: then the time counts from when this host first saw the sample.
func (s *Sample) Expires(freshFor time.Duration) time.Time {
	since := s.Taken
	if s.seen.Before(since) {
		since = s.seen
	}
	return since.Add(freshFor)
}

// Store holds the last sample of each node. It may be used from any goroutine.
type Store struct {
	clock   clock.PassiveClock
	samples sync.Map // of node name (string) to *Sample
}

// NewStore is a store that has seen nothing.
func NewStore(clock clock.PassiveClock) *Store {
	return &Store{clock: clock}
}

// Of is the last sample of a node, nil if there is none. Samples are compared by pointer: another pointer is another
// sample.
func (s *Store) Of(node string) *Sample {
	if sample, ok := s.samples.Load(node); ok {
		return sample.(*Sample)
	}
	return nil
}

// Put takes a NodeLoad. One that makes no sense replaces what was there by nothing, for then nothing is known.
func (s *Store) Put(object *unstructured.Unstructured) error {
	sample, err := parse(object)
	if err != nil {
		s.samples.Delete(object.GetName())
		return fmt.Errorf("NodeLoad %s: %w", object.GetName(), err)
	}
	sample.seen = s.clock.Now()
	if last := s.Of(object.GetName()); last != nil && last.Taken.Equal(sample.Taken) {
		return nil // sent again, when a watch is renewed: no newer than it was
	}
	s.samples.Store(object.GetName(), sample)
	return nil
}

// Delete forgets a node.
func (s *Store) Delete(node string) { s.samples.Delete(node) }

// nodeLoad is the object as api/crds/nodeloads.yaml has it.
type nodeLoad struct {
	Spec struct {
		SampleTime    string            `json:"sampleTime"`
		WindowSeconds int64             `json:"windowSeconds"`
		Usage         map[string]string `json:"usage"`
	} `json:"spec"`
}

// longestWindow is what the resource's schema allows: a day.
const longestWindow = 24 * 60 * 60

func parse(object *unstructured.Unstructured) (*Sample, error) {
	var raw nodeLoad
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &raw); err != nil {
		return nil, err
	}
	taken, err := time.Parse(time.RFC3339, raw.Spec.SampleTime)
	if err != nil {
		return nil, fmt.Errorf("spec.sampleTime: %w", err)
	}
	if raw.Spec.WindowSeconds < 1 || raw.Spec.WindowSeconds > longestWindow {
		return nil, fmt.Errorf("spec.windowSeconds is %d; expected 1 to %d", raw.Spec.WindowSeconds, longestWindow)
	}
	if len(raw.Spec.Usage) == 0 {
		return nil, errors.New("spec.usage is empty; expected at least cpu or memory")
	}
	usage := make(map[v1.ResourceName]int64, len(raw.Spec.Usage))
	for name, text := range raw.Spec.Usage {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("spec.usage.%s: %w", name, err)
		}
		usage[v1.ResourceName(name)] = baseUnits(v1.ResourceName(name), quantity)
	}
	return &Sample{Taken: taken, Window: time.Duration(raw.Spec.WindowSeconds) * time.Second, Usage: usage}, nil
}

// baseUnits saturates, as a Quantity's own conversions do.
func baseUnits(name v1.ResourceName, quantity resource.Quantity) int64 {
	if name != v1.ResourceCPU {
		return quantity.Value()
	}
	if quantity.CmpInt64(math.MaxInt64/1000) > 0 {
		return math.MaxInt64
	}
	return quantity.MilliValue()
}
