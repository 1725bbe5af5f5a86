package slot

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// counted is a pool of instances without a module, and how many were built.
func counted(most int) (*pool, func() int) {
	var mu sync.Mutex
	built := 0
	p := &pool{most: most, build: func(context.Context) (*instance, error) {
		mu.Lock()
		defer mu.Unlock()
		built++
		return &instance{handle: &guestHandle{}}, nil
	}}
	p.freed.L = &p.mu
	return p, func() int { mu.Lock(); defer mu.Unlock(); return built }
}

func taken(t *testing.T, p *pool) *instance {
	t.Helper()
	i, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestCallsThatMeetShareAnInstanceUntilSomebodyHasWaitedMuchLongerThanABuildTakes(t *testing.T) {
	p, built := counted(2)
	first := taken(t, p)
	p.building = time.Hour
	meet := func() {
		t.Helper()
		var calls sync.WaitGroup
		for range 8 {
			calls.Add(1)
			go func() {
				defer calls.Done()
				p.giveBack(taken(t, p))
			}()
		}
		p.awaitWaiting(8)
		p.giveBack(first)
		calls.Wait()
		first = taken(t, p)
	}
	meet()
	if built() != 1 {
		t.Fatalf("%d instances were built for calls that waited for less than ten hours", built())
	}

	p.waited = 10 * time.Hour
	meet()
	if second := taken(t, p); built() != 2 || first == second {
		t.Errorf("%d instances were built", built())
	}
}

// awaitWaiting returns when so many wait.
func (p *pool) awaitWaiting(count int) {
	for waiting := 0; waiting < count; {
		runtime.Gosched()
		p.mu.Lock()
		waiting = p.waiting
		p.mu.Unlock()
	}
}

func TestWhoeverWaitsForAnInstanceThatIsDiscardedBuildsOne(t *testing.T) {
	p, built := counted(1)
	first := taken(t, p)
	second := make(chan *instance)
	go func() { second <- taken(t, p) }()
	p.awaitWaiting(1)
	p.discard(first)
	if got := <-second; got == first || built() != 2 {
		t.Errorf("%d instances were built", built())
	}
}

func TestAnInstanceThatCannotBeBuiltIsAnErrorOfThatCallAndTheNextTriesAgain(t *testing.T) {
	p, _ := counted(1)
	sound := p.build
	p.build = func(context.Context) (*instance, error) { return nil, errors.New("no memory") }
	if _, err := p.take(t.Context()); err == nil || err.Error() != "no memory" {
		t.Errorf("got %v", err)
	}
	p.build = sound
	taken(t, p)
}

func TestARetiredPoolServesThoseWhoComeLaterAndKeepsNothing(t *testing.T) {
	p, built := counted(1)
	inFlight := taken(t, p)
	p.retire()
	p.giveBack(inFlight)
	p.giveBack(taken(t, p))
	if built() != 2 || p.live != 0 || len(p.idle) != 0 {
		t.Errorf("%d were built, and %d are kept", built(), p.live)
	}
}
