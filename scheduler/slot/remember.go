package slot

import (
	"math/rand/v2"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// remembered answers what the module answered before, and counts it as an answer.
func (v *version) remembered(at point, known *verdict) *framework.Status {
	m := v.metrics[at]
	m.answered(known.code)
	m.hits.Inc()
	return known.status()
}

// recheck says whether this remembered answer is one to ask for again.
func (h *Host) recheck() bool {
	switch h.recheckOneIn {
	case 0:
		return false
	case 1:
		return true
	default:
		return rand.Uint64N(h.recheckOneIn) == 0
	}
}

// remember keeps an answer about a node, after comparing it with what was remembered if it was asked for again.
func (s *slot) remember(c *cycle, at point, in *column, view *guestview.View, score int64, status *framework.Status) {
	answer := verdictOf(score, status)
	if answer == nil {
		return
	}
	if known := in.of(view); known == nil {
		in.keep(view, answer)
	} else if !known.equal(answer) {
		s.distrust(c, at, view.Info.Node().Name, known, answer)
	}
}

// Answers about the pod alone are cells of their own in a row.
func preFilterOf(r *row) *atomic.Pointer[verdict] { return &r.preFilter }
func preScoreOf(r *row) *atomic.Pointer[verdict]  { return &r.preScore }

func (c *cycle) known(cell func(*row) *atomic.Pointer[verdict]) *verdict {
	if c.row == nil {
		return nil
	}
	return cell(c.row).Load()
}

func (s *slot) rememberOnce(c *cycle, at point, cell func(*row) *atomic.Pointer[verdict], status *framework.Status) {
	answer := verdictOf(0, status)
	if c.row == nil || answer == nil {
		return
	}
	if known := cell(c.row).Load(); known == nil {
		cell(c.row).Store(answer)
	} else if !known.equal(answer) {
		s.distrust(c, at, "", known, answer)
	}
}

// distrust turns the memo of a module off that answered the same question in two ways, and says so where people look.
func (s *slot) distrust(c *cycle, at point, node string, known, answer *verdict) {
	v := c.version
	memoMismatchesTotal.WithLabelValues(s.name, v.module.Digest, string(at)).Inc()
	if v.memo.off.Swap(true) {
		return
	}
	klog.Background().Error(nil, "A module that declares itself pure answered the same question in two ways. Its answers are not remembered any more",
		"plugin", s.name, "digest", v.module.Digest, "point", string(at), "pod", klog.KObj(c.pod), "node", node,
		"before", known.text(), "now", answer.text())
	if recorder := s.handle.EventRecorder(); recorder != nil {
		recorder.Eventf(c.pod, nil, v1.EventTypeWarning, "PluginNotPure", "Scheduling",
			"Plugin %s (%s) declares itself pure and answered %q and then %q at %s", s.name, v.module.ShortDigest(), known.text(), answer.text(), at)
	}
}
