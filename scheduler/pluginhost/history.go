package pluginhost

import (
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/scheduler/report"
)

// history is what has happened to a slot and what is in force in it, for whoever asks. It decides nothing, and may be
// used from any goroutine: a report never waits for a candidate that is being tried.
type history struct {
	mu       sync.Mutex
	since    time.Time
	revision string
	lastSwap *report.Swap
	log      []report.Entry

	// trapsInARow is how many calls the last entry of the log stands for, if that is a trap.
	trapsInARow int
}

// longestReason of an entry: a module chooses its own words.
const longestReason = 1000

func (h *history) loaded(now time.Time, v *version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = now
	h.add(now, report.EventLoaded, v.module.Digest, "")
}

// configured tells the revision of the configuration in force.
func (h *history) configured(revision string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision = revision
}

func (h *history) swapped(at time.Time, result string, old, now *version, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = at
	h.lastSwap = &report.Swap{Result: result, At: metav1.NewMicroTime(at), Digest: now.module.Digest, Reason: cut(reason)}
	event := report.EventInForce
	switch {
	case result == swapRolledBack:
		event = report.EventRolledBack
	case old.module.Digest == now.module.Digest:
		event = report.EventConfigured
	}
	h.add(at, event, now.module.Digest, reason)
}

func (h *history) refused(at time.Time, digest, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastSwap = &report.Swap{Result: swapRefused, At: metav1.NewMicroTime(at), Digest: digest, Reason: cut(reason)}
	h.add(at, report.EventRefused, digest, reason)
}

// trapped is one entry for any number of traps in a row: a module that traps at every node would leave nothing else to
// be read.
func (h *history) trapped(at time.Time, digest, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	inARow := h.trapsInARow + 1
	if last := len(h.log) - 1; inARow > 1 && h.log[last].Digest == digest {
		h.log = h.log[:last]
		reason = fmt.Sprintf("%d times, at last: %s", inARow, reason)
	} else {
		inARow = 1
	}
	h.add(at, report.EventTrapped, digest, reason)
	h.trapsInARow = inARow
}

func (h *history) noted(at time.Time, event, digest, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add(at, event, digest, reason)
}

func (h *history) add(at time.Time, event, digest, reason string) {
	h.trapsInARow = 0
	h.log = append(h.log, report.Entry{At: metav1.NewTime(at), Event: event, Digest: digest, Reason: cut(reason)})
	if len(h.log) > report.MaxEntries {
		h.log = h.log[1:]
	}
}

func cut(reason string) string {
	if len(reason) > longestReason {
		return strings.ToValidUTF8(reason[:longestReason], "") + "…"
	}
	return reason
}

// report is the slot as it is now.
func (s *slot) report() report.Plugin {
	v := s.current.Load()
	row := report.Plugin{
		Plugin: s.name, Profile: s.profile(), Mode: s.mode(), Source: s.args.GuestURL,
		Digest: v.module.Digest, Version: v.module.Version,
		ConfigMap: s.args.GuestConfigMap, ConfigHash: v.spec.configDigest(),
		Points: map[string]report.Point{},
	}
	s.swaps.history.mu.Lock()
	row.Since, row.ConfigRevision = metav1.NewTime(s.swaps.history.since), s.swaps.history.revision
	row.LastSwap, row.Log = s.swaps.history.lastSwap, append([]report.Entry{}, s.swaps.history.log...)
	s.swaps.history.mu.Unlock()
	var calls, remembered uint64
	for at, counted := range v.metrics {
		point := counted.report()
		row.Points[at.Export()] = point
		row.Traps += counted.traps.Load()
		calls += point.Calls
		remembered += point.Remembered
	}
	if calls > 0 {
		row.MemoHitRate = float64(remembered) / float64(calls)
	}
	if shadow := s.trial.shadow.Load(); shadow != nil {
		row.Candidate = shadow.report()
	}
	return row
}
