package slot

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/experimental"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// pool hands out instances of one module, each to one caller at a time.
//
// The extension serialises the calls of one instance behind a mutex; several instances let kube-scheduler's parallel
// calls run in parallel. A guest that remembers things between the calls of a cycle must find them again, so a
// module that does not declare itself pure has a single instance, which is what the extension itself offers.
//
// The extension compiles a module for each instance, which takes as long as ten thousand calls. So another one is built,
// beside the calls, when somebody has waited for much longer than that takes; where most answers are remembered nobody
// does.
type pool struct {
	build func(context.Context) (*instance, error)
	most  int

	mu   sync.Mutex
	idle []*instance // the last one given back is the next one taken: its memory is warm

	// live is how many instances there are, those included that are being built.
	live int

	// freed wakes one of those who wait, of whom there are waiting. woken says that one is on his way. Whoever comes first
	// takes what is idle: handing each instance to the one who waits longest would put two goroutines to sleep and awake for
	// each call, which takes longer than the call.
	freed   sync.Cond
	waiting int
	woken   bool

	// since is from when on somebody waits; waited is for how long somebody has waited since the last build began, and
	// building how long the last one took.
	since            time.Time
	waited, building time.Duration
	retired          bool
}

// patience is how many times as long as a build takes somebody must have waited for the next. A scheduler that has just
// started remembers nothing, and many wait for a moment.
const patience = 10

// newPool builds the first instance at once, so that a module that cannot be loaded is refused at start.
func newPool(ctx context.Context, name string, of recipe, logSeverity int32, handle framework.Handle, views *guestview.Cache) (*pool, error) {
	config := wasm.PluginConfig{GuestConfig: of.config, LogSeverity: logSeverity}
	p := &pool{
		build: func(ctx context.Context) (*instance, error) {
			return instantiate(ctx, name, of.module, config, &guestHandle{Handle: handle, views: views})
		},
		most: instances(of.module),
		live: 1,
	}
	p.freed.L = &p.mu
	// Somebody waits for the first, so all cores compile; those that come later are built beside the calls.
	first, err := p.buildOne(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, err
	}
	p.giveBack(first)
	return p, nil
}

// instances is how many calls of a module can run at once.
func instances(m *module.Module) int {
	if !m.Pure {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// take waits until it may have an instance. Whoever takes one gives it back, or discards it.
func (p *pool) take(ctx context.Context) (*instance, error) {
	p.mu.Lock()
	for len(p.idle) == 0 && p.live > 0 {
		p.wait()
	}
	last := len(p.idle) - 1
	if last < 0 {
		p.live++
		p.mu.Unlock()
		return p.buildOne(ctx)
	}
	taken := p.idle[last]
	p.idle = p.idle[:last]
	p.wake()
	if p.retired && p.waiting == 0 {
		p.closeIdle()
	}
	p.mu.Unlock()
	return taken, nil
}

// wait lets others go on until something has changed. It builds another instance, beside the calls, when there was enough
// waiting for it.
func (p *pool) wait() {
	if p.waiting == 0 {
		p.since = time.Now()
	}
	p.waiting++
	p.freed.Wait()
	p.waiting--
	p.woken = false
	now := time.Now()
	p.waited += now.Sub(p.since)
	p.since = now
	if p.waited < patience*p.building || p.live == 0 || p.live >= p.most || p.retired {
		return
	}
	p.waited = 0
	p.live++
	go func() {
		if built, err := p.buildOne(context.Background()); err == nil {
			p.giveBack(built)
		}
	}()
}

// wake tells one of those who wait that there is something to have, or to build.
func (p *pool) wake() {
	if p.waiting > 0 && !p.woken && (len(p.idle) > 0 || p.live == 0) {
		p.woken = true
		p.freed.Signal()
	}
}

// buildOne builds an instance that is counted already.
func (p *pool) buildOne(ctx context.Context) (*instance, error) {
	start := time.Now()
	// Without the cycle's end: the module outlives the call that happens to build it.
	built, err := p.build(context.WithoutCancel(ctx))
	if err != nil {
		p.lost()
		return nil, err
	}
	p.mu.Lock()
	p.building = time.Since(start)
	p.mu.Unlock()
	return built, nil
}

func (p *pool) giveBack(i *instance) {
	i.handle.sight = outsideCycle
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired && p.waiting == 0 {
		p.live--
		i.close()
		return
	}
	p.idle = append(p.idle, i)
	p.wake()
}

// discard drops an instance that trapped: its memory is in the middle of something, and the extension would go on
// with it. The next caller builds a new one.
func (p *pool) discard(i *instance) {
	i.close()
	p.lost()
}

// lost says that one instance less is there. If it was the last, somebody who waits must build one.
func (p *pool) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
	p.wake()
}

// retire frees the idle instances, and those in flight when they come back. A call that comes later still works, on an
// instance that is built for it and freed after it.
func (p *pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	p.closeIdle()
}

func (p *pool) closeIdle() {
	p.live -= len(p.idle)
	for _, idle := range p.idle {
		idle.close()
	}
	p.idle = nil
}
