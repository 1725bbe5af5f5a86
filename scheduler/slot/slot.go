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

	// muted slots answer as if there were no plugin: args.mode is Shadow.
	muted bool

	// current is the version that the next cycle will use.
	current atomic.Pointer[version]

	// key is the slot's own in a CycleState; last is the cycle that asked last. starting is held while a cycle's first
	// call looks the rest up.
	key      framework.StateKey
	last     atomic.Pointer[cycle]
	starting sync.Mutex

	// sources is where module and configuration come from. following ends when the slot is closed.
	sources   *sources
	following context.Context
	stop      context.CancelFunc

	// reloading is held while a candidate is tried. All that follows belongs to it. previous is what was in force before
	// the current version, rolledBack the digest of a module that lies at its source and is not taken again, revision that
	// of the ConfigMap whose content is in force, shadowed the version that the shadow is compared with. refused is what was
	// tried in vain; refusal and shadowRefusal are the last words about it.
	reloading     sync.Mutex
	previous      *recipe
	rolledBack    string
	revision      string
	shadowed      *version
	refused       refusals
	refusal       refusal
	shadowRefusal refusal

	// outgoing are versions that were replaced and may still have calls in flight; it belongs to starting.
	outgoing []*version

	traps   trapWindow
	history history

	// shadow is the candidate that is compared with the current version; nil if there is none.
	shadow atomic.Pointer[shadow]
}

// newSlot loads what the args name and follows it until the context ends or the slot is closed.
func (h *Host) newSlot(ctx context.Context, name string, args Args, handle framework.Handle) (*slot, error) {
	s := &slot{
		host: h, name: name, args: args, handle: handle, muted: args.Mode == ModeShadow,
		key: framework.StateKey(fmt.Sprintf("weir.dev/slot-%d", h.slots.Add(1))),
	}
	s.following, s.stop = context.WithCancel(ctx)
	if err := s.load(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// load puts in force what is at the sources, and follows them.
func (s *slot) load() (err error) {
	if s.sources, err = newSources(s.args, s.handle); err != nil {
		return err
	}
	var first recipe
	if first.module, err = s.sources.readModule(s.following); err != nil {
		return err
	}
	if first.config, first.revision, err = s.sources.readConfig(s.following); err != nil {
		return err
	}
	v, err := s.host.newVersion(s.following, s.name, s.args, first, s.guestsHandle())
	if err != nil {
		return err
	}
	s.history.loaded(s.host.clock.Now(), v)
	s.putInForce(s.following, v)
	v.showInfo(s.mode())
	s.noteRevision(first.revision)
	klog.FromContext(s.following).Info("Loaded plugin", "plugin", s.name, "source", v.module.Source, "digest", v.module.Digest, "pure", v.module.Pure)
	err = s.sources.follow(s.following, func() { s.reload(s.following) })
	if err == nil {
		err = s.host.enter(s.following, s)
	}
	if err != nil {
		v.pool.retire()
	}
	return err
}

// guestsHandle is what the slot's modules get of the scheduler.
func (s *slot) guestsHandle() framework.Handle {
	if s.muted {
		return mutedHandle{s.handle}
	}
	return s.handle
}

// Name is the plugin's name in the scheduler's configuration.
func (s *slot) Name() string { return s.name }

// Close frees the module. Calls in flight end as they would have.
func (s *slot) Close() error {
	s.stop()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.host.leave(s)
	s.endShadow(context.Background())
	v := s.current.Load()
	v.pool.retire()
	v.forgetInfo(s.mode())
	s.noteRevision("")
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
