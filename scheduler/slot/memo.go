package slot

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// memo remembers what a pure module answered.
//
// It is exact. A pure module's answer is a function of its configuration, the bytes of the pod and the bytes of the
// node. There is one memo for each version of module and configuration; its rows are found by the pod's bytes, compared
// in full, since labels are a tenant's and a hash could be made to collide; within a row a node stands at its view's
// index with its view's ID, and a view never changes. So nothing is ever invalidated: what has changed has another ID.
//
// The pods of a job look alike, and a scheduled pod changes one node: of a thousand answers 999 are remembered.
type memo struct {
	points points

	// off is set for good when an answer that was given anew differed: the module is not pure.
	off atomic.Bool

	mu   sync.Mutex
	rows map[string]*row // by the bytes of the pod as the guest is told of it
	tick uint64
}

// row is what was answered about one kind of pod.
type row struct {
	preFilter, preScore atomic.Pointer[verdict]
	filter, score       column // by the index of the node's view

	// used is the memo's tick when the row was last looked up.
	used uint64
}

// column holds the answers about each node, at the index of its view. It grows when a node has no place in it.
type column struct {
	cells   atomic.Pointer[[]cell]
	growing sync.Mutex
}

type cell = atomic.Pointer[entry]

type entry struct {
	view    uint64
	verdict *verdict
}

// verdict is an answer of a module. It never changes.
type verdict struct {
	code    framework.Code
	reasons []string
	score   int64
}

const (
	// memoBytes bounds the memory of one memo: half a hundred kinds of pods at 5000 nodes, each of which a cluster may
	// well have waiting at once, take a fifth of it.
	memoBytes = 64 << 20

	// entryBytes is what one remembered answer takes: a pointer in the column, and an entry.
	entryBytes = 24

	// fewestRows is kept in any cluster, however large.
	fewestRows = 16
)

func newMemo(points points) *memo {
	return &memo{points: points, rows: map[string]*row{}}
}

// row finds the answers about a kind of pod, in a cluster of this many nodes. It takes a lock, once in a cycle.
func (m *memo) row(pod string, nodes int) *row {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick++
	found, ok := m.rows[pod]
	if !ok {
		found = &row{used: m.tick}
		m.rows[pod] = found
		m.evict(nodes)
	}
	found.used = m.tick
	return found
}

// evict drops the rows that were not used for longest. A cycle that still holds one goes on with it.
func (m *memo) evict(nodes int) {
	columns := 0
	if m.points.filter {
		columns++
	}
	if m.points.score {
		columns++
	}
	most := max(fewestRows, memoBytes/max(1, columns*nodes*entryBytes))
	for len(m.rows) > most {
		oldest, least := "", uint64(math.MaxUint64)
		for pod, row := range m.rows {
			if row.used < least {
				oldest, least = pod, row.used
			}
		}
		delete(m.rows, oldest)
	}
}

// of is what was answered about a node as it is in this view, nil if nothing was.
func (c *column) of(view *guestview.View) *verdict {
	cells := c.cells.Load()
	if cells == nil || uint(view.Index) >= uint(len(*cells)) {
		return nil
	}
	if found := (*cells)[view.Index].Load(); found != nil && found.view == view.ID {
		return found.verdict
	}
	return nil
}

func (c *column) keep(view *guestview.View, v *verdict) {
	cells := c.cells.Load()
	if cells == nil || uint(view.Index) >= uint(len(*cells)) {
		cells = c.grow(view.Index)
	}
	(*cells)[view.Index].Store(&entry{view: view.ID, verdict: v})
}

// grow makes place for this index and for half as many again. What is kept in the old cells meanwhile is lost, and will
// be asked for once more.
func (c *column) grow(index int) *[]cell {
	c.growing.Lock()
	defer c.growing.Unlock()
	old := c.cells.Load()
	if old != nil && index < len(*old) {
		return old
	}
	larger := make([]cell, index+index/2+8)
	if old != nil {
		for i := range *old {
			larger[i].Store((*old)[i].Load())
		}
	}
	c.cells.Store(&larger)
	return &larger
}

// passes are the verdicts that most answers are, made once.
var passes = func() (all [framework.MaxNodeScore + 1]*verdict) {
	for score := range all {
		all[score] = &verdict{score: int64(score)}
	}
	return all
}()

// verdictOf is what can be remembered of an answer, nil for an error: that may go away.
func verdictOf(score int64, status *framework.Status) *verdict {
	switch {
	case status.Code() == framework.Error:
		return nil
	case status.IsSuccess() && score >= 0 && score < int64(len(passes)):
		return passes[score]
	default:
		return &verdict{code: status.Code(), reasons: status.Reasons(), score: score}
	}
}

// status is made anew each time, for kube-scheduler writes the plugin's name into it.
func (v *verdict) status() *framework.Status {
	if v.code == framework.Success {
		return nil
	}
	return framework.NewStatus(v.code, v.reasons...)
}

func (v *verdict) equal(other *verdict) bool {
	return other != nil && v.code == other.code && v.score == other.score && slices.Equal(v.reasons, other.reasons)
}

func (v *verdict) text() string {
	return fmt.Sprintf("%s %s %d", v.code, strings.Join(v.reasons, ", "), v.score)
}
