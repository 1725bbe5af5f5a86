// Package pluginhost runs a plugin that is a WebAssembly module inside kube-scheduler.
//
// A slot is one plugin name in one profile. It decides what guests are told (package nodeview), that each call sees the node
// it is about, which answers need not be asked for again, when one version of a module gives way to another, and that
// nothing a guest does ends the process. How a module is run is package guest's. What a guest answers it passes on, where it
// is an answer that its point has.
package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
)

// slot is one plugin name in one profile.
type slot struct {
	host   *Host
	name   string
	args   Args
	handle framework.Handle

	// shadowOnly slots answer as if there were no plugin: args.mode is Shadow.
	shadowOnly bool

	// current is the version that the next cycle will use.
	current atomic.Pointer[version]
	cycles  cycles

	// sources is where module and configuration come from. life ends when the slot is closed.
	sources *sources
	life    life

	// reloading is held while sources are read and a candidate is tried, for as long as that takes.
	reloading sync.Mutex
	swaps     swaps
	trial     trial
}

// life is that of what a slot does beside scheduling.
type life struct {
	context.Context
	end context.CancelFunc
}

// cycles is how a slot finds what a scheduling cycle began with.
type cycles struct {
	// key is the slot's own in a CycleState; last is the cycle that asked last. starting is held while a cycle's first
	// call looks the rest up.
	key      framework.StateKey
	last     atomic.Pointer[cycle]
	starting sync.Mutex

	// outgoing are versions that were replaced and may still have calls in flight; it belongs to starting.
	outgoing []*version
}

// swaps is what came of the candidates for a slot so far.
type swaps struct {
	// mu is held for moments, by a rollback too. The fields up to refusal belong to it.
	mu sync.Mutex

	// previous is what was in force before the current version, departed what was before that.
	previous *version
	departed departed

	// mark tells the content of the module's source that was read last, rolledBack is the digest of a module that lies there
	// and is not taken again, revision that of the ConfigMap whose content is in force.
	mark       string
	rolledBack string
	revision   string

	// refused is what was tried in vain, and refusal the last words about it.
	refused refusals
	refusal refusal

	history history

	// keeper keeps the version in force for the next start.
	keeper *keeper
}

// trial is the candidate that is compared with the current version.
type trial struct {
	// shadow is nil if there is none.
	shadow atomic.Pointer[shadow]

	// against is the version that it is compared with, and refusal the last words about one that is not; they belong to
	// swaps.mu.
	against *version
	refusal refusal
}

// newSlot loads what the args name and follows it until the context ends or the slot is closed.
func (h *Host) newSlot(ctx context.Context, name string, args Args, handle framework.Handle) (*slot, error) {
	s := &slot{
		host: h, name: name, args: args, handle: handle, shadowOnly: args.Mode == ModeShadow,
	}
	s.cycles.key = framework.StateKey(fmt.Sprintf("weir.dev/slot-%d", h.slots.Add(1)))
	s.life.Context, s.life.end = context.WithCancel(ctx)
	if err := s.load(); err != nil {
		s.life.end()
		return nil, err
	}
	return s, nil
}

// load puts in force what is at the sources, and follows them.
func (s *slot) load() (err error) {
	if s.sources, err = newSources(s.args, s.handle); err != nil {
		return err
	}
	s.swaps.keeper = newKeeper(s.profile(), s.name)
	v, err := s.firstVersion(s.life)
	if err != nil {
		return err
	}
	s.swaps.history.loaded(s.host.clock.Now(), v)
	s.putInForce(s.life, v)
	s.noteRevision(v.spec.revision)
	klog.FromContext(s.life).Info("Loaded plugin", "plugin", s.name, "source", v.module.Source, "digest", v.module.Digest, "pure", v.module.Pure)
	err = s.sources.follow(s.life, func() bool { return s.reload(s.life) })
	if err == nil {
		err = s.host.enter(s.life, s)
	}
	if err != nil {
		v.discard()
	}
	return err
}

// guestsHandle is what the slot's modules get of the scheduler.
func (s *slot) guestsHandle() framework.Handle {
	if s.shadowOnly {
		return silentHandle{s.handle}
	}
	return s.handle
}

// Name is the plugin's name in the scheduler's configuration.
func (s *slot) Name() string { return s.name }

// Close frees the module. Calls in flight end as they would have.
func (s *slot) Close() error {
	s.life.end()
	s.swaps.keeper.pending.Wait()
	s.reloading.Lock() // what it reads ends with the slot
	defer s.reloading.Unlock()
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	s.host.leave(s)
	s.endShadow(context.Background())
	v := s.current.Load()
	v.discard()
	if s.swaps.previous != nil {
		s.swaps.previous.dropSeries()
	}
	s.swaps.departed.dropAll()
	v.forgetInfo(s.mode())
	s.noteRevision("")
	return nil
}

// EventsToRegister asks the module which events can make a rejected pod schedulable. kube-scheduler asks once, at start.
func (s *slot) EventsToRegister(context.Context) ([]framework.ClusterEventWithHint, error) {
	return s.current.Load().events()
}

// events are all for a module that names none: nothing is known of what it goes by.
func (v *version) events() ([]framework.ClusterEventWithHint, error) {
	if !v.points.enqueue {
		return everyEvent(), nil
	}
	answer, status, _ := v.call(guest.Enqueue, v.outsideCycle(), nobody, nil)
	if err := status.AsError(); err != nil {
		return nil, err
	}
	if len(answer.Events) == 0 {
		return everyEvent(), nil
	}
	return clusterEvents(answer.Events)
}
