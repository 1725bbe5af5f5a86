package pluginhost

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/pluginhost/memo"
	"weir.dev/scheduler/report"
)

// shadow asks a candidate what real cycles asked the version in force, and counts where the two disagree.
//
// It cannot change a decision: it gets copies of what a cycle saw after that was answered, works in a goroutine of its
// own, on an instance whose handle is muted, and nobody reads its answers but the report. What it takes from the
// scheduling cycle is one clock reading a cycle and, in a cycle that is sampled, a queue entry for a few nodes.
type shadow struct {
	plugin    string
	source    string
	candidate *version
	since     time.Time
	clock     clock.PassiveClock

	queue chan observation
	stop  context.CancelFunc
	done  chan struct{}

	// sampledAt is when a cycle was sampled last, in nanoseconds; spent says that the time of this second is used up.
	sampledAt atomic.Int64
	spent     atomic.Bool

	compared, different, failed, skipped atomic.Uint64

	mu       sync.Mutex
	examples []report.Example
}

const (
	// sampleEvery is the least time between two cycles that are sampled, and sampleNodes the most nodes of such a cycle at
	// each point: at most 650 calls a second, some 2 ms of a core with modules like ours.
	sampleEvery = 50 * time.Millisecond
	sampleNodes = 16

	// shadowBudget is the time that a candidate may use in each budgetWindow; when it is used up, no cycle is sampled until
	// the next one begins.
	shadowBudget = 50 * time.Millisecond
	budgetWindow = time.Second

	// shadowQueue has room for some sampled cycles. What finds it full is skipped.
	shadowQueue = 256
)

// observation is one answer of the version in force, and what it was an answer to.
type observation struct {
	at   guest.Point
	pod  *podView // as the candidate is told of it
	node *nodeview.View
	// nodes are those of PreScore.
	nodes   []string
	inForce *memo.Verdict
}

// sampled is a cycle of which the candidate gets to see something.
type sampled struct {
	by             *shadow
	pod            *podView
	filters, score atomic.Int32
}

// sample decides whether a cycle that begins is one of those.
func (s *shadow) sample(pod *v1.Pod, pure func(*v1.Pod) *podView) *sampled {
	now, last := s.clock.Now().UnixNano(), s.sampledAt.Load()
	if s.spent.Load() || now-last < int64(sampleEvery) || !s.sampledAt.CompareAndSwap(last, now) {
		return nil
	}
	if s.candidate.module.Pure {
		return &sampled{by: s, pod: pure(pod)}
	}
	return &sampled{by: s, pod: wholePod(pod)}
}

// saw hands over an answer about the pod alone.
func (c *cycle) saw(at guest.Point, answer *framework.Status, nodes []framework.NodeInfo) {
	if c.sampled == nil || answer.Code() == framework.Error {
		return
	}
	names := make([]string, 0, min(len(nodes), sampleNodes))
	for _, node := range nodes[:min(len(nodes), sampleNodes)] {
		names = append(names, node.Node().Name)
	}
	c.sampled.by.offer(observation{at: at, pod: c.sampled.pod, nodes: names, inForce: verdictOf(0, answer)})
}

// sawNode hands over an answer about a node, of the first few in a cycle. It runs in the scheduling cycle, where the
// NodeInfo may be read; what it keeps is a view.
func (c *cycle) sawNode(at guest.Point, node framework.NodeInfo, score int64, answer *framework.Status) {
	if c.sampled == nil || answer.Code() == framework.Error {
		return
	}
	count := &c.sampled.filters
	if at == guest.Score {
		count = &c.sampled.score
	}
	if count.Add(1) > sampleNodes {
		return
	}
	views := c.sampled.by.candidate.views.ByGeneration()
	if c.state.IsPodGroupSchedulingCycle() {
		views = c.sampled.by.candidate.views.ByContent()
	}
	c.sampled.by.offer(observation{at: at, pod: c.sampled.pod, node: views.Of(node), inForce: verdictOf(score, answer)})
}

func verdictOf(score int64, status *framework.Status) *memo.Verdict {
	if status == nil { // it has no Reasons
		return &memo.Verdict{Score: score}
	}
	return &memo.Verdict{Code: status.Code(), Reasons: status.Reasons(), Score: score}
}

// offer never waits.
func (s *shadow) offer(seen observation) {
	if s.candidate.metrics[seen.at] == nil {
		return // the candidate does not export it, nor does the version in force
	}
	select {
	case s.queue <- seen:
	default:
		s.skipped.Add(1)
	}
}

// startShadow runs a candidate, which it closes in the end.
func (s *slot) startShadow(ctx context.Context, candidate *version, source string) *shadow {
	ctx, stop := context.WithCancel(ctx)
	started := &shadow{
		plugin: s.name, source: source, candidate: candidate, since: s.host.clock.Now(), clock: s.host.clock,
		queue: make(chan observation, shadowQueue), stop: stop, done: make(chan struct{}),
	}
	pluginInfo.WithLabelValues(s.name, candidate.module.Digest, ModeShadow).Set(1)
	go started.run(ctx)
	return started
}

// end takes the shadow away without waiting for the call that it is in.
func (s *shadow) end() {
	pluginInfo.DeleteLabelValues(s.plugin, s.candidate.module.Digest, ModeShadow)
	s.stop()
}

func (s *shadow) run(ctx context.Context) {
	defer close(s.done)
	defer s.candidate.leave()
	var used time.Duration
	refill := time.NewTicker(budgetWindow)
	defer refill.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refill.C:
			used = 0
			s.spent.Store(false)
		case seen := <-s.queue:
			if used > shadowBudget {
				s.skipped.Add(1)
				continue
			}
			start := time.Now()
			s.compare(seen)
			used += time.Since(start)
			s.spent.Store(used > shadowBudget)
		}
	}
}

// compare asks the candidate. A reason in other words is no disagreement: it changes nothing for the pod.
func (s *shadow) compare(seen observation) {
	scope := s.candidate.outsideCycle().about(seen.node)
	given, status, _ := s.candidate.call(seen.at, scope, seen.pod, func(call *guest.Call) {
		call.Filtered = func() []string { return seen.nodes }
	})
	var score int64
	if seen.at == guest.Score && status.IsSuccess() {
		score = int64(given.High())
	}
	answer := verdictOf(score, status)
	s.compared.Add(1)
	same := answer.Code == seen.inForce.Code && (answer.Code != framework.Success || answer.Score == seen.inForce.Score)
	shadowComparisons.WithLabelValues(s.plugin, s.candidate.module.Digest, seen.at.Export(), agreement(same)).Inc()
	if same {
		return
	}
	s.different.Add(1)
	if answer.Code == framework.Error {
		s.failed.Add(1)
	}
	s.keep(seen, answer)
}

func agreement(same bool) string {
	if same {
		return "Same"
	}
	return "Different"
}

func (s *shadow) keep(seen observation, answer *memo.Verdict) {
	example := report.Example{
		At: metav1.NewTime(s.clock.Now()), Point: seen.at.Export(), Pod: klog.KObj(seen.pod.of).String(),
		InForce: cut(sentence(seen.inForce)), Candidate: cut(sentence(answer)),
	}
	if seen.node != nil {
		example.Node = seen.node.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.examples = append(s.examples, example)
	if len(s.examples) > report.MaxExamples {
		s.examples = s.examples[1:]
	}
}

// sentence is for people.
func sentence(v *memo.Verdict) string {
	if v.Code == framework.Success {
		return fmt.Sprintf("Success, score %d", v.Score)
	}
	return v.Code.String() + ": " + strings.Join(v.Reasons, ", ")
}

func (s *shadow) report() *report.Candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &report.Candidate{
		Digest: s.candidate.module.Digest, Version: s.candidate.module.Version, Mode: ModeShadow, Source: s.source,
		Since:       metav1.NewTime(s.since),
		Comparisons: s.compared.Load(), Disagreements: s.different.Load(), Failures: s.failed.Load(), Skipped: s.skipped.Load(),
		Examples: append([]report.Example{}, s.examples...),
	}
}
