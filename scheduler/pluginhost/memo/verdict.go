package memo

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/kube-scheduler/framework"
)

// Verdict is an answer of a module. It never changes.
type Verdict struct {
	Code    framework.Code
	Reasons []string
	Score   int64
}

// Status is made anew each time, for kube-scheduler writes the plugin's name into it.
func (v *Verdict) Status() *framework.Status {
	if v.Code == framework.Success {
		return nil
	}
	return framework.NewStatus(v.Code, v.Reasons...)
}

func (v *Verdict) equal(other *Verdict) bool {
	return v.Code == other.Code && v.Score == other.Score && slices.Equal(v.Reasons, other.Reasons)
}

// Text is for people.
func (v *Verdict) Text() string {
	return fmt.Sprintf("%s %s %d", v.Code, strings.Join(v.Reasons, ", "), v.Score)
}

// verdicts numbers the different answers about one kind of pod, of which there are few: the scores, and some sentences.
// Numbering ends at mostSentences: a module that makes up a new sentence for each node is asked most times.
type verdicts struct {
	all atomic.Pointer[[]*Verdict]

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
var scores = func() []*Verdict {
	all := make([]*Verdict, framework.MaxScore+1)
	for score := range all {
		all[score] = &Verdict{Score: int64(score)}
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
	made := &Verdict{Code: status.Code(), Reasons: status.Reasons(), Score: score}
	key := made.Text()
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

func (n *verdicts) get(number uint64) *Verdict { return (*n.all.Load())[number] }
