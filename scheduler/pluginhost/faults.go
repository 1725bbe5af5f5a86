package pluginhost

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// faults are what a version did that it may not: it trapped, used up its fuel, or gave an answer that its point does not
// have. The first time it is the verdict on that kind of pod, which is not asked about again for a while: an odd pod costs
// one call, once. Only when several kinds of pods fare so within a short time it is the version.
type faults struct {
	clock clock.PassiveClock

	// lasting says that a call would end the same way again, as of a pure module.
	lasting bool

	mu    sync.Mutex
	known map[string]*fault // by the kind of pod
}

// fault is what happened last with one kind of pod.
type fault struct {
	err   error
	at    time.Time
	until time.Time
	times int
}

const (
	// kindsToRollBack within faultsWithin: one kind of pod may be strange, three are the module.
	kindsToRollBack = 3
	faultsWithin    = time.Minute

	// mostFaults bounds the kinds that are kept.
	mostFaults = 1024

	// firstPause and longestPause are for how long a kind of pod is not asked about again, doubling each time.
	firstPause   = 5 * time.Minute
	longestPause = time.Hour

	// shortPause is that of a module that keeps things in its memory: it may do better in a moment.
	shortPause = 10 * time.Second
)

// of is why there is nothing to ask about a kind of pod now; nil if there is no such reason. The kind is worked out only
// where there were faults at all.
func (f *faults) of(kind func() string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) == 0 {
		return nil
	}
	if known := f.known[kind()]; known != nil && f.clock.Now().Before(known.until) {
		return known.err
	}
	return nil
}

// add notes a fault and says whether too many kinds of pods had one lately.
func (f *faults) add(kind string, err error) bool {
	now := f.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]*fault{}
	}
	known := f.known[kind]
	if known == nil {
		f.makeRoom()
		known = &fault{}
		f.known[kind] = known
	}
	known.err, known.at, known.times = err, now, known.times+1
	known.until = now.Add(f.pause(known.times))
	lately := 0
	for _, each := range f.known {
		if now.Sub(each.at) <= faultsWithin {
			lately++
		}
	}
	return lately >= kindsToRollBack
}

func (f *faults) pause(times int) time.Duration {
	if !f.lasting {
		return shortPause
	}
	return min(firstPause<<min(times-1, 10), longestPause)
}

// makeRoom drops the kind whose pause ends first.
func (f *faults) makeRoom() {
	if len(f.known) < mostFaults {
		return
	}
	var first string
	for kind, each := range f.known {
		if first == "" || each.until.Before(f.known[first].until) {
			first = kind
		}
	}
	delete(f.known, first)
}
