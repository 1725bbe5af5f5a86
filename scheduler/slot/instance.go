package slot

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

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
// module that does not declare itself pure has a single instance, which is what the extension itself offers.
type pool struct {
	build func(context.Context) (*instance, error)

	// calls has room for one token per call that may run at once.
	calls chan struct{}

	mu      sync.Mutex
	idle    []*instance // the last one given back is the next one taken: its memory is warm
	retired bool
}

// newPool builds the first instance at once, so that a module that cannot be loaded is refused at start. The others are
// built when calls meet.
func newPool(ctx context.Context, name string, of recipe, logSeverity int32, handle framework.Handle, views *guestview.Cache) (*pool, error) {
	config := wasm.PluginConfig{GuestConfig: of.config, LogSeverity: logSeverity}
	p := &pool{
		build: func(ctx context.Context) (*instance, error) {
			return instantiate(ctx, name, of.module, config, &guestHandle{Handle: handle, views: views})
		},
		calls: make(chan struct{}, instances(of.module)),
	}
	first, err := p.build(ctx)
	if err != nil {
		return nil, err
	}
	p.idle = append(p.idle, first)
	return p, nil
}

// instances is how many calls of a module can run at once.
func instances(m *module.Module) int {
	if !m.Pure {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// instantiate lets the extension load the module. The extension panics where it should fail; that is an error here.
func instantiate(ctx context.Context, name string, m *module.Module, config wasm.PluginConfig, handle *guestHandle) (loaded *instance, err error) {
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

// take waits until it may have an instance. Whoever takes one gives it back, or discards it.
func (p *pool) take(ctx context.Context) (*instance, error) {
	p.calls <- struct{}{}
	if idle := p.pop(); idle != nil {
		return idle, nil
	}
	// Without the cycle's end: the module outlives the call that happens to build it.
	built, err := p.build(context.WithoutCancel(ctx))
	if err != nil {
		<-p.calls
		return nil, err
	}
	return built, nil
}

func (p *pool) pop() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	popped := p.idle[last]
	p.idle = p.idle[:last]
	return popped
}

func (p *pool) giveBack(i *instance) {
	i.handle.sight = outsideCycle
	p.mu.Lock()
	if p.retired {
		i.close()
	} else {
		p.idle = append(p.idle, i)
	}
	p.mu.Unlock()
	<-p.calls
}

// discard drops an instance that trapped: its memory is in the middle of something, and the extension would go on
// with it. The next caller builds a new one.
func (p *pool) discard(i *instance) {
	i.close()
	<-p.calls
}

// retire frees the idle instances, and those in flight when they come back. A call that comes later still works, on an
// instance that is built for it and freed after it.
func (p *pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	for _, idle := range p.idle {
		idle.close()
	}
	p.idle = nil
}
