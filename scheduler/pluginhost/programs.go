package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/module"
)

// programs are the compiled modules of a process: slots that run the same module share one, whatever their settings. The
// compiler runs outside of every lock.
type programs struct {
	mu    sync.Mutex
	known map[programKey]*sharedProgram
}

type programKey struct {
	digest string
	memory uint64
	time   time.Duration
}

// sharedProgram is compiled by the first that asks for it. users is how many have it.
type sharedProgram struct {
	compiling sync.Once
	program   *guest.Program
	err       error
	users     int
}

// longestCompilation is far above what a module of ours takes on a busy machine.
const longestCompilation = 20 * time.Second

var errCompilesTooLong = errors.New("compiling it takes longer than " + longestCompilation.String())

// acquire is a module's program, and what gives it back.
func (p *programs) acquire(ctx context.Context, m *module.Module, limits guest.Limits) (*guest.Program, func(), error) {
	key := programKey{m.Digest, limits.Memory, limits.Time}
	p.mu.Lock()
	if p.known == nil {
		p.known = map[programKey]*sharedProgram{}
	}
	shared, ok := p.known[key]
	if !ok {
		shared = &sharedProgram{}
		p.known[key] = shared
	}
	shared.users++
	p.mu.Unlock()
	shared.compiling.Do(func() { shared.program, shared.err = compiled(ctx, m, limits) })
	release := sync.OnceFunc(func() { p.release(key, shared) })
	if shared.err != nil {
		release()
		return nil, nil, shared.err
	}
	return shared.program, release, nil
}

func (p *programs) release(key programKey, shared *sharedProgram) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if shared.users--; shared.users > 0 {
		return
	}
	if p.known[key] == shared {
		delete(p.known, key)
	}
	if shared.program != nil {
		shared.program.Close()
	}
}

// compiled compiles beside the caller, who does not wait for a module that keeps the compiler busy. The compiler itself
// cannot be stopped; the size of a module's functions bounds it (module.Bounds).
func compiled(ctx context.Context, m *module.Module, limits guest.Limits) (*guest.Program, error) {
	type result struct {
		program *guest.Program
		err     error
	}
	done := make(chan result, 1)
	ctx = context.WithoutCancel(ctx) // others wait for it too
	go func() {
		program, err := guest.Compile(ctx, m.Bytes(), limits)
		done <- result{program, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return nil, fmt.Errorf("loading %s: %w", m.Source, got.err)
		}
		return got.program, nil
	case <-time.After(longestCompilation):
		go func() {
			if late := <-done; late.program != nil {
				late.program.Close()
			}
		}()
		return nil, passing{fmt.Errorf("loading %s: %w", m.Source, errCompilesTooLong)}
	}
}
