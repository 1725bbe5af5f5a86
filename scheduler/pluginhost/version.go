package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/module"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/pluginhost/memo"
)

// version is one module with one configuration, loaded and proven to answer. Everything that depends on either is in
// here, so that another version is another version and nothing of one is ever taken for the other's.
type version struct {
	plugin string
	module *module.Module
	points points
	views  *nodeview.Cache
	pool   *pool
	memo   *memo.Memo // nil when the module is not pure

	// spec is what the version was made of, and name the same in short: the digest of the module and, if it has settings,
	// theirs.
	spec spec
	name string

	// rawReasons is as in Host.
	rawReasons bool

	// onFault is told of each fault; nil until the version is in force.
	onFault func(of *version, kind, reason string)
	faults  faults
	metrics map[guest.Point]*pointMetrics

	// dropSeries lets the metrics of the module go, once no other version has it.
	dropSeries func()
}

// newVersion loads a module, or says why it cannot be used.
func (h *Host) newVersion(ctx context.Context, plugin string, args Args, of spec, handle framework.Handle) (*version, error) {
	m := of.module
	points, err := pointsOf(m)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	views, err := h.views(ctx, nodeview.Detail{
		Whole:           !m.Pure,
		Annotations:     args.NodeAnnotations,
		LoadFreshFor:    args.LoadFreshFor.Duration,
		WithoutRequests: args.WithoutRequests,
	}, handle)
	if err != nil {
		return nil, passing{err}
	}
	v := &version{plugin: plugin, module: m, spec: of, name: of.name(), rawReasons: h.rawReasons, points: points, views: views, metrics: map[guest.Point]*pointMetrics{}}
	v.faults.clock, v.faults.lasting = h.clock, m.Pure
	if m.Pure {
		v.memo = memo.New()
	}
	key := moduleKey{plugin, m.Digest}
	v.dropSeries = answers.hold(key)
	for _, p := range guest.Points() {
		if m.Exports[p.Export()] {
			v.metrics[p] = answers.of(answerKey{key, p})
		}
	}
	if err := v.fill(ctx, h, args, handle); err != nil {
		v.dropSeries()
		return nil, err
	}
	if err := v.selfTest(); err != nil && !h.withoutSelfTest {
		v.discard()
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	return v, nil
}

// fill makes the version's pool. Its instances and its compiled code are freed when nothing has the version any more: not
// the slot, no pod's cycle and no binding.
func (v *version) fill(ctx context.Context, h *Host, args Args, handle framework.Handle) error {
	program, release, err := h.programs.acquire(ctx, v.module, args.limits(v.module, h.limits))
	if err != nil {
		return err
	}
	made := instanceSpec{
		config: v.spec.config, logSeverity: args.LogSeverity, inline: v.module.Inline, forgets: !v.module.Declares,
		effects: &effects{handle: handle, allowed: args.sideEffects(), plugin: v.plugin},
	}
	filled, err := newPool(func() (*instance, error) { return instantiate(program, made) }, instances(v.module))
	if err != nil {
		release()
		return fmt.Errorf("loading %s: %w", v.module.Source, explained(err, v.module))
	}
	v.pool = filled
	runtime.AddCleanup(v, func(p *pool) { p.retire(); release() }, filled)
	return nil
}

// explained is a trap in the words of whoever has to do something about it.
func explained(err error, m *module.Module) error {
	var trap *guest.Trap
	if errors.As(err, &trap) && trap.OutOfFuel {
		return fmt.Errorf("ran out of fuel, of which a call has %d; the module loops, or needs to be packed with more", m.FuelPerCall())
	}
	return err
}

// discard frees a version that never was in force.
func (v *version) discard() {
	v.pool.retire()
	v.dropSeries()
}

// departed lets the metrics of versions go that are not in force any more, after a while: whoever looks after a swap wants to
// see what the version before it did. It holds no version, so that each is freed when nothing else has it.
type departed struct{ dropSeries []func() }

const mostDeparted = 2

func (d *departed) add(v *version) {
	if v == nil {
		return
	}
	d.dropSeries = append(d.dropSeries, v.dropSeries)
	for len(d.dropSeries) > mostDeparted {
		d.dropSeries[0]()
		d.dropSeries = slices.Delete(d.dropSeries, 0, 1)
	}
}

func (d *departed) dropAll() {
	for _, drop := range d.dropSeries {
		drop()
	}
	d.dropSeries = nil
}

// leave lets a version go that no cycle begins with any more. A module that keeps things in its memory keeps them for the
// cycles and bindings that have begun with it; any other is made anew where one of those still asks.
func (v *version) leave() {
	if v.module.Pure {
		v.pool.retire()
	}
}
