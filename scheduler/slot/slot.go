// Package slot runs a plugin that is a WebAssembly module inside kube-scheduler.
//
// A slot is one plugin name in one profile. It loads the module through kube-scheduler-wasm-extension, which it wraps
// and does not change; it decides what guests are told (package guestview), that each call sees the node it is
// about, which answers need not be asked for again, and that nothing a guest does ends the process. What a guest
// answers it passes on.
package slot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// slot is one plugin name in one profile.
type slot struct {
	host   *Host
	name   string
	args   Args
	handle framework.Handle

	// current is the version that the next cycle will use.
	current atomic.Pointer[version]

	// key is the slot's own in a CycleState; last is the cycle that asked last. starting is held while a cycle's first
	// call looks the rest up.
	key      framework.StateKey
	last     atomic.Pointer[cycle]
	starting sync.Mutex

	// sources is where module and configuration come from. reloading is held while a candidate is tried; previous is
	// what was in force before the current version, refused the candidate that was refused last and refusal the words for
	// it. outgoing are versions that
	// were replaced and may still have calls in flight; it belongs to starting.
	sources   *sources
	reloading sync.Mutex
	previous  *recipe
	refused   *recipe
	refusal   string
	outgoing  []*version
	traps     trapWindow
	stop      context.CancelFunc
}

// newSlot loads what the args name and follows it until the context ends or the slot is closed.
func (h *Host) newSlot(ctx context.Context, name string, args Args, handle framework.Handle) (*slot, error) {
	from := &sources{args: args, handle: handle}
	first, err := from.read(ctx)
	if err != nil {
		return nil, err
	}
	v, err := h.newVersion(ctx, name, args, first, handle)
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	s := &slot{
		host: h, name: name, args: args, handle: handle, sources: from, stop: stop,
		key: framework.StateKey(fmt.Sprintf("weir.dev/slot-%d", h.slots.Add(1))),
	}
	s.putInForce(v)
	klog.FromContext(ctx).Info("Loaded plugin", "plugin", name, "source", v.module.Source, "digest", v.module.Digest, "pure", v.module.Pure)
	if err := from.follow(following, func() { s.reload(following) }); err != nil {
		stop()
		v.pool.retire()
		return nil, err
	}
	return s, nil
}

// Name is the plugin's name in the scheduler's configuration.
func (s *slot) Name() string { return s.name }

// Close frees the module. Calls in flight end as they would have.
func (s *slot) Close() error {
	s.stop()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	v := s.current.Load()
	v.pool.retire()
	v.forgetInfo(s.args.GuestConfigMap)
	return nil
}

// EventsToRegister asks the module which events can make a rejected pod schedulable. kube-scheduler asks once, at
// start; the extension panics when the module traps here, which is an error that stops the start instead.
func (s *slot) EventsToRegister(ctx context.Context) ([]framework.ClusterEventWithHint, error) {
	return s.current.Load().events(ctx)
}

func (v *version) events(ctx context.Context) (events []framework.ClusterEventWithHint, err error) {
	status, _ := v.call(ctx, pointEnqueue, outsideCycle, func(i *instance) *framework.Status {
		extensions, ok := i.plugin.(framework.EnqueueExtensions)
		if !ok {
			return framework.AsStatus(errors.New("the extension offers no EventsToRegister"))
		}
		events, err = extensions.EventsToRegister(ctx)
		return framework.AsStatus(err)
	})
	return events, status.AsError()
}
