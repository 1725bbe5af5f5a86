package pluginhost

import (
	"runtime"
	"sync"

	"weir.dev/scheduler/module"
)

// pool hands out instances of one module, each to one caller at a time.
//
// An instance is single-threaded; several let kube-scheduler's parallel calls run in parallel. They share their compiled
// code, so making one takes as long as some hundred calls, and one is made when no other is idle. A guest that remembers
// things between the calls of a cycle must find them again, so a module that does not declare itself pure has a single
// instance.
type pool struct {
	build func() (*instance, error)
	most  int

	mu   sync.Mutex
	idle []*instance // the last one given back is the next one taken: its memory is warm

	// live is how many instances there are, those included that are being built; freed is signalled when one is idle or
	// lost.
	live  int
	freed sync.Cond

	// retired says that no instance is kept any more.
	retired bool
}

// newPool builds the first instance at once, so that a module that cannot be loaded is refused at start.
func newPool(build func() (*instance, error), most int) (*pool, error) {
	p := &pool{build: build, most: most, live: 1}
	p.freed.L = &p.mu
	first, err := p.buildOne()
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

// take waits until it may have an instance, which its caller gives back, or discards.
func (p *pool) take() (*instance, error) {
	p.mu.Lock()
	for len(p.idle) == 0 && p.live >= p.most {
		p.freed.Wait()
	}
	if last := len(p.idle) - 1; last >= 0 {
		taken := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return taken, nil
	}
	p.live++
	p.mu.Unlock()
	return p.buildOne()
}

// buildOne builds an instance that is counted already.
func (p *pool) buildOne() (*instance, error) {
	built, err := p.build()
	if err != nil {
		p.lost()
	}
	return built, err
}

func (p *pool) giveBack(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, i)
	if p.retired {
		p.closeIdle()
	}
	p.freed.Signal()
}

// discard drops an instance that trapped: its memory is in the middle of something. The next caller builds a new one.
func (p *pool) discard(i *instance) {
	i.close()
	p.lost()
}

// lost says that one instance less is there, so that a caller who waits may build one.
func (p *pool) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live--
	p.freed.Signal()
}

// open keeps instances again: a version that was replaced may come back.
func (p *pool) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = false
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
