package pluginhost

import (
	"container/list"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/kube-scheduler/framework"
)

// memo remembers what a pure module answered.
//
// It is exact. A pure module's answer is a function of its configuration, the bytes of the pod and the bytes of the
// node. There is one memo for each version of module and configuration; its rows are found by the pod's bytes, compared
// in full, since labels are a tenant's and a hash could be made to collide; within a row a node stands under the key of
// its view (nodeview.Reader.Key, FirstKey), and under one key always the same is told. So nothing is ever invalidated: what
// has changed has another key.
//
// The pods of a job look alike, and a scheduled pod changes one node: of a thousand answers 999 are remembered.
type memo struct {
	// off is set for good when an answer that was given anew differed: the module is not pure.
	off atomic.Bool

	mu   sync.Mutex
	rows map[string]*list.Element // by the bytes of the pod as the guest is told of it

	// order has the row used last in front. bytes is what all rows take together.
	order list.List
	bytes int
}

// row is what was answered about one kind of pod.
type row struct {
	preFilter, preScore atomic.Pointer[verdict]
	filter, score       table
	verdicts            verdicts
	allNodesPass        atomic.Pointer[allNodesPass]

	// pod is the row's key, bytes what it was counted with, and cycles how often it was looked up.
	pod    string
	bytes  int
	cycles int
}

const (
	// memoBytes bounds the memory of one memo: some two hundred kinds of pods at 5000 nodes.
	memoBytes = 64 << 20

	// fewestRows is kept in any cluster, however large.
	fewestRows = 4

	// fewestCycles is how many cycles a row lasts at the least.
	fewestCycles = 64
)

func newMemo() *memo { return &memo{rows: map[string]*list.Element{}} }

// row finds the answers about a kind of pod, with room for this many nodes. It takes a lock, once in a cycle.
func (m *memo) row(pod string, nodes int) *row {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.rows[pod]
	if ok && at.Value.(*row).wornOut() {
		m.drop(at)
		ok = false
	}
	if ok {
		m.order.MoveToFront(at)
	} else {
		made := &row{pod: pod}
		made.verdicts.init()
		at = m.order.PushFront(made)
		m.rows[pod] = at
	}
	found := at.Value.(*row)
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
func (r *row) size() int { return len(r.pod) + r.filter.size() + r.score.size() + r.verdicts.size() }

// evict drops the rows that were not used for longest. A cycle that still holds one goes on with it.
func (m *memo) evict() {
	for m.bytes > memoBytes && m.order.Len() > fewestRows {
		m.drop(m.order.Back())
	}
}

func (m *memo) drop(at *list.Element) {
	dropped := m.order.Remove(at).(*row)
	delete(m.rows, dropped.pod)
	m.bytes -= dropped.bytes
}

// wornOut says that a row has no room for new sentences, most of which are about states of nodes that are over. It is not
// made anew for a module that fills it at once.
func (r *row) wornOut() bool { return r.verdicts.full.Load() && r.cycles >= fewestCycles }

// verdict is an answer of a module. It never changes.
type verdict struct {
	code    framework.Code
	reasons []string
	score   int64
}

// status is made anew each time, for kube-scheduler writes the plugin's name into it.
func (v *verdict) status() *framework.Status {
	if v.code == framework.Success {
		return nil
	}
	return framework.NewStatus(v.code, v.reasons...)
}

func (v *verdict) equal(other *verdict) bool {
	return v.code == other.code && v.score == other.score && slices.Equal(v.reasons, other.reasons)
}

func (v *verdict) text() string {
	return fmt.Sprintf("%s %s %d", v.code, strings.Join(v.reasons, ", "), v.score)
}

// verdicts numbers the different answers about one kind of pod, of which there are few: the scores, and some sentences.
// Numbering ends at mostSentences: a module that makes up a new sentence for each node is asked most times.
type verdicts struct {
	all atomic.Pointer[[]*verdict]

	mu     sync.Mutex
	number map[string]uint64
	bytes  atomic.Int64
	full   atomic.Bool
}

const (
	// mostSentences and mostSentenceBytes bound what is kept beside the scores.
	mostSentences     = 1024
	mostSentenceBytes = 256 << 10
)

// scores are the successes, each with its score as the number. All verdicts begin with them.
var scores = func() []*verdict {
	all := make([]*verdict, framework.MaxScore+1)
	for score := range all {
		all[score] = &verdict{score: int64(score)}
	}
	return slices.Clip(all)
}()

func (n *verdicts) init() { n.all.Store(&scores) }

func (n *verdicts) size() int { return int(n.bytes.Load()) }

// of is the number of an answer. An error has none, since it may go away.
func (n *verdicts) of(score int64, status *framework.Status) (uint64, bool) {
	if status.Code() == framework.Error {
		return 0, false
	}
	if status.IsSuccess() && score >= 0 && score <= framework.MaxScore {
		return uint64(score), true
	}
	made := &verdict{code: status.Code(), reasons: status.Reasons(), score: score}
	key := made.text()
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, ok := n.number[key]; ok {
		return number, true
	}
	old := *n.all.Load()
	if len(old) >= len(scores)+mostSentences || n.size()+2*len(key) > mostSentenceBytes {
		n.full.Store(true)
		return 0, false
	}
	if n.number == nil {
		n.number = map[string]uint64{}
	}
	number := uint64(len(old))
	all := append(slices.Clip(old), made)
	n.all.Store(&all)
	n.number[key] = number
	n.bytes.Add(int64(2 * len(key)))
	return number, true
}

func (n *verdicts) get(number uint64) *verdict { return (*n.all.Load())[number] }
