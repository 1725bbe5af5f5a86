package pluginhost

import (
	"errors"
	"sync"
	"testing"
	"time"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/internal/wasmtest"
)

// counted is a pool of instances of a small module, and how many were built.
func counted(t *testing.T, most int) (*pool, func() int) {
	t.Helper()
	module := wasmtest.New().Func("filter", i32, wasmtest.Const(0))
	program, err := guest.Compile(t.Context(), module.Bytes(), guest.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Close)
	var mu sync.Mutex
	built := 0
	p := &pool{most: most, build: func() (*instance, error) {
		mu.Lock()
		defer mu.Unlock()
		built++
		return instantiate(program, instanceSpec{effects: &effects{}})
	}}
	p.freed.L = &p.mu
	return p, func() int { mu.Lock(); defer mu.Unlock(); return built }
}

func taken(t *testing.T, p *pool) *instance {
	t.Helper()
	i, err := p.take()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestCallsThatMeetGetInstancesOfTheirOwnUpToTheMost(t *testing.T) {
	p, built := counted(t, 2)
	first, second := taken(t, p), taken(t, p)
	if first == second || built() != 2 {
		t.Fatalf("%d instances were built", built())
	}
	third := make(chan *instance)
	go func() { third <- taken(t, p) }()
	select {
	case <-third:
		t.Fatal("there are three")
	case <-time.After(10 * time.Millisecond):
	}
	p.giveBack(second)
	if got := <-third; got != second || built() != 2 {
		t.Errorf("%d instances were built", built())
	}
}

func TestACallerThatWaitsForAnInstanceThatIsDiscardedBuildsOne(t *testing.T) {
	p, built := counted(t, 1)
	first := taken(t, p)
	second := make(chan *instance)
	go func() { second <- taken(t, p) }()
	p.discard(first)
	if got := <-second; got == first || built() != 2 {
		t.Errorf("%d instances were built", built())
	}
}

func TestAnInstanceThatCannotBeBuiltIsAnErrorOfThatCallAndTheNextTriesAgain(t *testing.T) {
	p, _ := counted(t, 1)
	sound := p.build
	p.build = func() (*instance, error) { return nil, errors.New("no memory") }
	if _, err := p.take(); err == nil || err.Error() != "no memory" {
		t.Errorf("got %v", err)
	}
	p.build = sound
	taken(t, p)
}

func TestARetiredPoolServesCallsThatComeLaterAndKeepsNothing(t *testing.T) {
	p, built := counted(t, 1)
	inFlight := taken(t, p)
	p.retire()
	p.giveBack(inFlight)
	p.giveBack(taken(t, p))
	if built() != 2 || p.live != 0 || len(p.idle) != 0 {
		t.Errorf("%d were built, and %d are kept", built(), p.live)
	}
}
