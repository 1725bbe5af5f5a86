package slot

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"k8s.io/kubernetes/pkg/scheduler/framework"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// instance is one instance of the extension's plugin, with a handle of its own.
type instance struct {
	plugin framework.Plugin
	handle *guestHandle
}

func (i *instance) close() {
	if closer, ok := i.plugin.(io.Closer); ok {
		_ = closer.Close() // it only frees memory, and the instance is not used again
	}
}

// pool hands out instances of one module, each to one caller at a time.
//
// The extension serialises the calls of one instance behind a mutex; several instances let kube-scheduler's parallel
// calls run in parallel. A guest that remembers things between the calls of a cycle must find them again, so a
// module that does not declare otherwise has a single instance, which is what the extension itself offers.
type pool struct {
	module *module.Module
	build  func(context.Context) (*instance, error)

	// free holds the idle instances. nil stands for one that is still to be built, at first use or after a trap.
	free chan *instance
}

// newPool builds the first instance at once, so that a module that cannot be loaded is refused at start.
func newPool(ctx context.Context, name string, m *module.Module, args Args, handle framework.Handle, views *guestview.Cache) (*pool, error) {
	config := wasm.PluginConfig{GuestConfig: args.GuestConfig, LogSeverity: args.LogSeverity}
	p := &pool{
		module: m,
		build: func(ctx context.Context) (*instance, error) {
			return load(ctx, name, m, config, &guestHandle{Handle: handle, views: views})
		},
		free: make(chan *instance, instances(m)),
	}
	first, err := p.build(ctx)
	if err != nil {
		return nil, err
	}
	p.free <- first
	for len(p.free) < cap(p.free) {
		p.free <- nil
	}
	return p, nil
}

// instances is how many calls of a module can run at once.
func instances(m *module.Module) int {
	if !m.Pure {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// load lets the extension load the module. The extension panics where it should fail; that is an error here.
func load(ctx context.Context, name string, m *module.Module, config wasm.PluginConfig, handle *guestHandle) (loaded *instance, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("loading %s: panic: %v", m.Source, recovered)
		}
	}()
	err = m.WithFile(func(url string) error {
		config.GuestURL = url
		plugin, err := wasm.NewFromConfig(ctx, name, config, handle)
		if err != nil {
			return fmt.Errorf("loading %s: %w", m.Source, err)
		}
		loaded = &instance{plugin: plugin, handle: handle}
		return nil
	})
	return loaded, err
}

// take waits for an idle instance. Whoever takes one gives it back, or discards it.
func (p *pool) take(ctx context.Context) (*instance, error) {
	taken := <-p.free
	if taken != nil {
		return taken, nil
	}
	// Without the cycle's end: the module outlives the call that happens to build it.
	built, err := p.build(context.WithoutCancel(ctx))
	if err != nil {
		p.free <- nil
		return nil, err
	}
	return built, nil
}

func (p *pool) giveBack(i *instance) {
	i.handle.sight = outsideCycle
	p.free <- i
}

// discard drops an instance that trapped: its memory is in the middle of something, and the extension would go on
// with it. The next caller builds a new one.
func (p *pool) discard(i *instance) {
	i.close()
	p.free <- nil
}

// close waits for calls in flight.
func (p *pool) close() {
	for range cap(p.free) {
		if idle := <-p.free; idle != nil {
			idle.close()
		}
	}
}
