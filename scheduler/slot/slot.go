// Package slot runs a plugin that is a WebAssembly module inside kube-scheduler.
//
// A slot is one plugin name in one profile. It loads the module through kube-scheduler-wasm-extension, which it wraps
// and does not change; it decides what guests are told (package guestview), that each call sees the node it is
// about, and that nothing a guest does ends the process. What a guest answers it passes on.
package slot

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// Factory makes the plugin of this name, anew for each profile that uses it.
func Factory(name string) frameworkruntime.PluginFactory {
	return func(ctx context.Context, raw runtime.Object, handle framework.Handle) (framework.Plugin, error) {
		args, err := parseArgs(raw)
		if err != nil {
			return nil, err
		}
		return New(ctx, name, args, handle)
	}
}

// slot is one plugin name in one profile.
type slot struct {
	name    string
	module  *module.Module
	points  points
	pool    *pool
	handle  framework.Handle
	views   *guestview.Cache
	metrics map[point]*pointMetrics
}

// New loads the module of the args. The plugin that it returns implements the interfaces of exactly those extension
// points that the module exports, since kube-scheduler finds out by type assertion where to call a plugin.
func New(ctx context.Context, name string, args Args, handle framework.Handle) (framework.Plugin, error) {
	registerMetrics()
	m, err := module.Read(ctx, args.GuestURL)
	if err != nil {
		return nil, err
	}
	points, err := pointsOf(m, args.UnsafePoints)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	s := &slot{
		name:    name,
		module:  m,
		points:  points,
		handle:  handle,
		views:   guestview.NewCache(guestview.Detail{Whole: !m.Pure, Annotations: args.NodeAnnotations}),
		metrics: map[point]*pointMetrics{},
	}
	for _, p := range allPoints {
		if m.Exports[string(p)] {
			s.metrics[p] = newPointMetrics(name, m.Digest, p)
		}
	}
	if s.pool, err = newPool(ctx, name, m, args, handle, s.views); err != nil {
		return nil, err
	}
	if err := s.selfTest(ctx); err != nil {
		s.pool.close()
		return nil, fmt.Errorf("%s cannot be used: %w", args.GuestURL, err)
	}
	pluginInfo.WithLabelValues(name, m.Digest, "Active").Set(1)
	klog.FromContext(ctx).Info("Loaded plugin", "plugin", name, "source", m.Source, "digest", m.Digest, "instances", instances(m))
	return masked(s), nil
}

// Name is the plugin's name in the scheduler's configuration.
func (s *slot) Name() string { return s.name }

// Close waits for calls in flight and frees the module.
func (s *slot) Close() error {
	s.pool.close()
	pluginInfo.DeleteLabelValues(s.name, s.module.Digest, "Active")
	return nil
}

// EventsToRegister asks the module which events can make a rejected pod schedulable. kube-scheduler asks once, at
// start; the extension panics when the module traps here, which is an error that stops the start instead.
func (s *slot) EventsToRegister(ctx context.Context) (events []framework.ClusterEventWithHint, err error) {
	status := s.call(ctx, pointEnqueue, outsideCycle, func(i *instance) *framework.Status {
		extensions, ok := i.plugin.(framework.EnqueueExtensions)
		if !ok {
			return framework.AsStatus(errors.New("the extension offers no EventsToRegister"))
		}
		events, err = extensions.EventsToRegister(ctx)
		return framework.AsStatus(err)
	})
	return events, status.AsError()
}
