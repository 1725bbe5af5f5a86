package pluginhost

import (
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
)

// remembered is what the module answered about a node before, or when it was last told the same of it. It is nil also for
// one in so many answers that is to be asked for again.
func (s *slot) remembered(c *cycle, at *pointMetrics, in *table, node framework.NodeInfo) *verdict {
	number, ok := in.find(c.nodes, node)
	if !ok {
		return nil
	}
	known := c.row.verdicts.get(number)
	if s.host.recheck(at.remembered(known.code)) {
		at.again(known.code)
		return nil
	}
	return known
}

// find is the number of the answer about a node. Most changes of a NodeInfo are none of what a guest is told: the answer
// then stands under the key that the node had when it was told the same first, and is found quickly from now on.
func (t *table) find(views nodeview.Reader, node framework.NodeInfo) (uint64, bool) {
	key, view := views.Key(node)
	number, ok := t.get(key)
	if ok || view != nil { // a key that comes with its view is of what is told
		return number, ok
	}
	if number, ok = t.get(views.FirstKey(node)); ok {
		t.put(key, number)
	}
	return number, ok
}

// recheck says whether the nth remembered answer is one to ask for again.
func (h *Host) recheck(nth uint64) bool {
	return h.recheckOneIn != 0 && nth%h.recheckOneIn == 0
}

// remember keeps an answer about a node, of which this was told, after comparing it with what was remembered if it was
// asked for again.
func (s *slot) remember(c *cycle, at guest.Point, in *table, node framework.NodeInfo, view *nodeview.View, score int64, status *framework.Status) {
	verdicts := &c.row.verdicts
	number, ok := verdicts.of(score, status)
	if !ok {
		return
	}
	key, first := c.nodes.KeysOf(node, view)
	for _, key := range []uint64{key, first} {
		if known, again := in.get(key); again && known != number {
			s.disableMemo(c, at, node.Node().Name, verdicts.get(known), verdicts.get(number))
			return
		}
	}
	in.put(key, number)
	if first != key {
		in.put(first, number)
	}
}

// Answers about the pod alone are cells of their own in a row.
func preFilterOf(r *row) *atomic.Pointer[verdict] { return &r.preFilter }
func preScoreOf(r *row) *atomic.Pointer[verdict]  { return &r.preScore }

// rememberedOnce is what the module answered about such a pod before.
func (s *slot) rememberedOnce(c *cycle, at guest.Point, cell func(*row) *atomic.Pointer[verdict]) *verdict {
	if c.row == nil {
		return nil
	}
	known, metrics := cell(c.row).Load(), c.version.metrics[at]
	if known != nil && s.host.recheck(metrics.remembered(known.code)) {
		metrics.again(known.code)
		return nil
	}
	return known
}

func (s *slot) rememberOnce(c *cycle, at guest.Point, cell func(*row) *atomic.Pointer[verdict], status *framework.Status) {
	if c.row == nil || status.Code() == framework.Error {
		return
	}
	answer := &verdict{code: status.Code()}
	if !status.IsSuccess() {
		answer.reasons = status.Reasons()
	}
	if known := cell(c.row).Load(); known == nil {
		cell(c.row).Store(answer)
	} else if !known.equal(answer) {
		s.disableMemo(c, at, "", known, answer)
	}
}

// disableMemo turns the memo of a module off that answered the same question in two ways, and says so where people look.
func (s *slot) disableMemo(c *cycle, at guest.Point, node string, known, answer *verdict) {
	v := c.version
	memoMismatchesTotal.WithLabelValues(s.name, v.module.Digest, at.Export()).Inc()
	if v.memo.off.Swap(true) {
		return
	}
	klog.Background().Error(nil, "A module that declares itself pure answered the same question in two ways. Its answers are not remembered any more",
		"plugin", s.name, "digest", v.module.Digest, "point", at.Export(), "pod", klog.KObj(c.pod), "node", node,
		"before", known.text(), "now", answer.text())
	if recorder := s.handle.EventRecorder(); recorder != nil {
		recorder.Eventf(c.pod, nil, v1.EventTypeWarning, "PluginNotPure", "Scheduling",
			"Plugin %s (%s) declares itself pure and answered %q and then %q at %s", s.name, v.module.ShortDigest(), known.text(), answer.text(), at)
	}
}
