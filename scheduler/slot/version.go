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
	plugin  string
	module  *module.Module
	points  points
	views   *guestview.Cache
	pool    *pool
	memo    *memo // nil when the module is not pure
	metrics map[point]*pointMetrics
}

// newVersion loads the module of the args, or says why it cannot be used.
func (h *Host) newVersion(ctx context.Context, plugin string, args Args, handle framework.Handle) (*version, error) {
	m, err := module.Read(ctx, args.GuestURL)
	if err != nil {
		return nil, err
	}
	points, err := pointsOf(m, args.UnsafePoints)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	views, err := h.views(ctx, guestview.Detail{
		Whole:        !m.Pure,
		Annotations:  args.NodeAnnotations,
		LoadFreshFor: args.LoadFreshFor.Duration,
	}, handle)
	if err != nil {
		return nil, err
	}
	v := &version{plugin: plugin, module: m, points: points, views: views, metrics: map[point]*pointMetrics{}}
	if m.Pure {
		v.memo = newMemo(points)
	}
	for _, p := range allPoints {
		if m.Exports[string(p)] {
			v.metrics[p] = newPointMetrics(plugin, m.Digest, p)
		}
	}
	if v.pool, err = newPool(ctx, plugin, m, args, handle, views); err != nil {
		return nil, err
	}
	if err := v.selfTest(ctx); err != nil {
		v.pool.retire()
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	return v, nil
}
