package slot

import (
	"context"
	"fmt"

	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// version is one module with one configuration, loaded and proven to answer. Everything that depends on either is in
// here, so that another version is another version and nothing of one is ever taken for the other's.
type version struct {
	plugin string
	module *module.Module
	points points
	views  *guestview.Cache
	pool   *pool
	memo   *memo // nil when the module is not pure

	// recipe is what the version was made of, and name the same in short: the digest of the module and, if it has settings,
	// theirs.
	recipe recipe
	name   string

	// onTrap is told of each trap; nil until the version is in force.
	onTrap  func(of *version, reason string)
	metrics map[point]*pointMetrics
}

// newVersion loads a module, or says why it cannot be used.
func (h *Host) newVersion(ctx context.Context, plugin string, args Args, of recipe, handle framework.Handle) (*version, error) {
	m := of.module
	points, err := pointsOf(m, args.UnsafePoints)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	views, err := h.views(ctx, guestview.Detail{
		Whole:           !m.Pure,
		Annotations:     args.NodeAnnotations,
		LoadFreshFor:    args.LoadFreshFor.Duration,
		WithoutRequests: args.WithoutRequests,
	}, handle)
	if err != nil {
		return nil, err
	}
	v := &version{plugin: plugin, module: m, recipe: of, name: of.name(), points: points, views: views, metrics: map[point]*pointMetrics{}}
	if m.Pure {
		v.memo = newMemo()
	}
	for _, p := range allPoints {
		if m.Exports[string(p)] {
			v.metrics[p] = answers.of(answerKey{plugin, m.Digest, p})
		}
	}
	if v.pool, err = newPool(ctx, plugin, of, args.LogSeverity, handle, views); err != nil {
		return nil, err
	}
	if err := v.selfTest(ctx); err != nil {
		v.pool.retire()
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	return v, nil
}
