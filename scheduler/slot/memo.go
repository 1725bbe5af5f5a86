package slot

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// memo remembers what a pure module answered.
//
// It is exact. A pure module's answer is a function of its configuration, the bytes of the pod and the bytes of the
// node. There is one memo for each version of module and configuration; its rows are found by the pod's bytes, compared
// in full, since labels are a tenant's and a hash could be made to collide; within a row a node stands under the key of
// its view (guestview.Cache.Key, FirstKey), and under one key always the same is told. So nothing is ever invalidated: what has
// changed has another key.
//
// The pods of a job look alike, and a scheduled pod changes one node: of a thousand answers 999 are remembered.
type memo struct {
	// off is set for good when an answer that was given anew differed: the module is not pure.
	off atomic.Bool

	verdicts verdicts

	mu   sync.Mutex
	rows map[string]*row // by the bytes of the pod as the guest is told of it
	tick uint64
}

// row is what was answered about one kind of pod.
type row struct {
	preFilter, preScore atomic.Pointer[verdict]
	filter, score       table
	everywhere          atomic.Pointer[everywhere]

	// used is the memo's tick when the row was last looked up.
	used uint64
}

const (
	// memoBytes bounds the memory of one memo: some two hundred kinds of pods at 5000 nodes.
	memoBytes = 64 << 20

	// fewestRows is kept in any cluster, however large.
	fewestRows = 16
)

func newMemo() *memo {
	m := &memo{rows: map[string]*row{}}
	m.verdicts.init()
	return m
}

// row finds the answers about a kind of pod, with room for this many nodes. It takes a lock, once in a cycle.
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
	found.filter.makeRoom(nodes)
	found.score.makeRoom(nodes)
	return found
}

// evict drops the rows that were not used for longest. A cycle that still holds one goes on with it.
func (m *memo) evict(nodes int) {
	most := max(fewestRows, memoBytes/(2*tableBytes(nodes)))
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

// verdicts numbers the different answers of a module, of which there are few: the scores, and some sentences. Numbering ends
// at mostVerdicts: a module that makes up a new sentence for each node is asked each time.
type verdicts struct {
	all atomic.Pointer[[]*verdict]

	mu     sync.Mutex
	number map[string]uint64
}

// init gives each success its score as the number.
func (n *verdicts) init() {
	n.number = map[string]uint64{}
	all := make([]*verdict, framework.MaxNodeScore+1)
	for score := range all {
		all[score] = &verdict{score: int64(score)}
	}
	n.all.Store(&all)
}

// of is the number of an answer. An error has none, since it may go away.
func (n *verdicts) of(score int64, status *framework.Status) (uint64, bool) {
	if status.Code() == framework.Error {
		return 0, false
	}
	if status.IsSuccess() && score >= 0 && score <= framework.MaxNodeScore {
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
	number := uint64(len(old))
	if number >= mostVerdicts {
		return 0, false
	}
	all := append(slices.Clip(old), made)
	n.all.Store(&all)
	n.number[key] = number
	return number, true
}

func (n *verdicts) get(number uint64) *verdict { return (*n.all.Load())[number] }
