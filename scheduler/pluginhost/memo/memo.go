// Package memo remembers what a pure module answered.
package memo

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// Memo is what one version of a pure module with one configuration answered. It may be used from any goroutine.
//
// It is exact. A pure module's answer is a function of its configuration, the bytes of the pod and the bytes of the
// node. Its rows are found by the pod's bytes, compared
// in full, since labels are a tenant's and a hash could be made to collide; within a row a node stands under the key of
// its view (nodeview.Reader.Key, FirstKey), and under one key always the same is told. So nothing is ever invalidated: what
// has changed has another key.
//
// The pods of a job look alike, and a scheduled pod changes one node: of a thousand answers 999 are remembered.
type Memo struct {
	// off is set for good when an answer that was given anew differed: the module is not pure.
	off atomic.Bool

	mu   sync.Mutex
	rows map[string]*list.Element // by the bytes of the pod as the guest is told of it

	// order has the row used last in front. bytes is what all rows take together.
	order list.List
	bytes int
}

// Row is what was answered about one kind of pod.
type Row struct {
	// PreFilter and PreScore are answers about the pod alone.
	PreFilter, PreScore Cell

	filter, score table
	verdicts      verdicts

	// AllNodesPass is kept for its owner.
	AllNodesPass atomic.Pointer[AllNodesPass]

	// pod is the row's key, bytes what it was counted with, and cycles how often it was looked up.
	pod    string
	bytes  int
	cycles int
}

// AllNodesPass is whether a kind of pod passes on every node, as of one state of the Nodes.
type AllNodesPass struct {
	NodeSet uint64
	Passes  bool
}

// Filter is what was answered at filter about nodes, and Score the same at score.
func (r *Row) Filter() Answers { return Answers{&r.filter, &r.verdicts} }

// Score is as Filter.
func (r *Row) Score() Answers { return Answers{&r.score, &r.verdicts} }

const (
	// memoBytes bounds the memory of one memo: some two hundred kinds of pods at 5000 nodes.
	memoBytes = 64 << 20

	// fewestRows is kept in any cluster, however large.
	fewestRows = 4

	// fewestCycles is how many cycles a row lasts at the least.
	fewestCycles = 64
)

// New is an empty memo.
func New() *Memo { return &Memo{rows: map[string]*list.Element{}} }

// Off says that nothing is remembered any more.
func (m *Memo) Off() bool { return m.off.Load() }

// TurnOff is for good. It says whether that was so before.
func (m *Memo) TurnOff() (before bool) { return m.off.Swap(true) }

// Row finds the answers about a kind of pod, with room for this many nodes. It takes a lock, once in a cycle.
func (m *Memo) Row(pod string, nodes int) *Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.rows[pod]
	if ok && at.Value.(*Row).wornOut() {
		m.drop(at)
		ok = false
	}
	if ok {
		m.order.MoveToFront(at)
	} else {
		made := &Row{pod: pod}
		made.verdicts.init()
		at = m.order.PushFront(made)
		m.rows[pod] = at
	}
	found := at.Value.(*Row)
	found.cycles++
	found.filter.makeRoom(nodes)
	found.score.makeRoom(nodes)
	now := found.size()
	m.bytes += now - found.bytes
	found.bytes = now
	m.evict()
	return found
}

// size is the memory that a row takes.
func (r *Row) size() int { return len(r.pod) + r.filter.size() + r.score.size() + r.verdicts.size() }

// evict drops the rows that were not used for longest. A cycle that still holds one goes on with it.
func (m *Memo) evict() {
	for m.bytes > memoBytes && m.order.Len() > fewestRows {
		m.drop(m.order.Back())
	}
}

func (m *Memo) drop(at *list.Element) {
	dropped := m.order.Remove(at).(*Row)
	delete(m.rows, dropped.pod)
	m.bytes -= dropped.bytes
}

// wornOut says that a row has no room for new sentences, most of which are about states of nodes that are over. It is not
// made anew for a module that fills it at once.
func (r *Row) wornOut() bool { return r.verdicts.full.Load() && r.cycles >= fewestCycles }
