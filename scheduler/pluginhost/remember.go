package pluginhost

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/pluginhost/memo"
)

// remembered is what the module answered about a node before, or when it was last told the same of it. It is nil also for
// one in so many answers that is to be asked for again.
func (s *slot) remembered(c *cycle, at *pointMetrics, in memo.Answers, node framework.NodeInfo) *memo.Verdict {
	return s.unlessRechecked(at, in.Find(c.nodes, node))
}

// rememberedOnce is what the module answered about such a pod before.
func (s *slot) rememberedOnce(c *cycle, at guest.Point, in *memo.Cell) *memo.Verdict {
	return s.unlessRechecked(c.version.metrics[at], in.Find())
}

func (s *slot) unlessRechecked(at *pointMetrics, known *memo.Verdict) *memo.Verdict {
	if known != nil && s.host.recheck(at.remembered(known.Code)) {
		at.again(known.Code)
		return nil
	}
	return known
}

// recheck says whether the nth remembered answer is one to ask for again.
func (h *Host) recheck(nth uint64) bool {
	return h.recheckOneIn != 0 && nth%h.recheckOneIn == 0
}

// remember keeps an answer about a node, of which this was told.
func (s *slot) remember(c *cycle, at guest.Point, in memo.Answers, node framework.NodeInfo, view *nodeview.View, score int64, status *framework.Status) {
	if wrong := in.Keep(c.nodes, node, view, score, status); wrong != nil {
		s.disableMemo(c, at, node.Node().Name, wrong)
	}
}

// rememberOnce keeps an answer about the pod alone.
func (s *slot) rememberOnce(c *cycle, at guest.Point, in *memo.Cell, status *framework.Status) {
	if wrong := in.Keep(status); wrong != nil {
		s.disableMemo(c, at, "", wrong)
	}
}

// disableMemo turns the memo of a module off that answered the same question in two ways, and says so where people look.
func (s *slot) disableMemo(c *cycle, at guest.Point, node string, wrong *memo.Contradiction) {
	v, before, now := c.version, wrong.Before.Text(), wrong.Now.Text()
	memoMismatchesTotal.WithLabelValues(s.name, v.module.Digest, at.Export()).Inc()
	if v.memo.TurnOff() {
		return
	}
	klog.Background().Error(nil, "A module that declares itself pure answered the same question in two ways. Its answers are not remembered any more",
		"plugin", s.name, "digest", v.module.Digest, "point", at.Export(), "pod", klog.KObj(c.pod), "node", node,
		"before", before, "now", now)
	if recorder := s.handle.EventRecorder(); recorder != nil {
		recorder.Eventf(c.pod, nil, v1.EventTypeWarning, "PluginNotPure", "Scheduling",
			"Plugin %s (%s) declares itself pure and answered %q and then %q at %s", s.name, v.module.ShortDigest(), before, now, at)
	}
}
