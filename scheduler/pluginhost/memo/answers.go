package memo

import (
	"sync/atomic"

	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/nodeview"
)

// Contradiction is two answers to one question: the module is not pure.
type Contradiction struct{ Before, Now *Verdict }

// Answers are those about nodes at one point.
type Answers struct {
	table    *table
	verdicts *verdicts
}

// Find is the answer about a node; nil if there is none. Most changes of a NodeInfo are none of what a guest is told: the
// answer then stands under the key that the node had when it was told the same first, and is found quickly from now on.
func (a Answers) Find(views nodeview.Reader, node framework.NodeInfo) *Verdict {
	key, view := views.Key(node)
	number, ok := a.table.get(key)
	if !ok && view == nil { // a key that comes with its view is of what is told
		if number, ok = a.table.get(views.FirstKey(node)); ok {
			a.table.put(key, number)
		}
	}
	if !ok {
		return nil
	}
	return a.verdicts.get(number)
}

// Keep keeps an answer about a node, of which this was told, after comparing it with what was remembered. An error is not
// kept.
func (a Answers) Keep(views nodeview.Reader, node framework.NodeInfo, view *nodeview.View, score int64, status *framework.Status) *Contradiction {
	number, ok := a.verdicts.of(score, status)
	if !ok {
		return nil
	}
	key, first := views.KeysOf(node, view)
	for _, key := range []uint64{key, first} {
		if known, again := a.table.get(key); again && known != number {
			return &Contradiction{a.verdicts.get(known), a.verdicts.get(number)}
		}
	}
	a.table.put(key, number)
	if first != key {
		a.table.put(first, number)
	}
	return nil
}

// Cell is one answer.
type Cell struct{ verdict atomic.Pointer[Verdict] }

// Find is nil where there is no answer.
func (c *Cell) Find() *Verdict { return c.verdict.Load() }

// Keep keeps an answer, after comparing it with what was remembered. An error is not kept.
func (c *Cell) Keep(status *framework.Status) *Contradiction {
	if status.Code() == framework.Error {
		return nil
	}
	answer := &Verdict{Code: status.Code()}
	if !status.IsSuccess() {
		answer.Reasons = status.Reasons()
	}
	if known := c.verdict.Load(); known == nil {
		c.verdict.Store(answer)
	} else if !known.equal(answer) {
		return &Contradiction{known, answer}
	}
	return nil
}
