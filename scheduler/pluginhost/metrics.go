package pluginhost

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/report"
)

// The metrics live in kube-scheduler's own registry, so /metrics shows them without another port.
var (
	callSeconds = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name:           "weir_plugin_call_duration_seconds",
		Help:           "Time of one call into a plugin's module, waiting for a free instance included.",
		Buckets:        metrics.ExponentialBuckets(0.000001, 2, 20), // 1 µs to 0.5 s
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point"})

	trapsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_traps_total",
		Help:           "Calls in which a plugin's module trapped; its instance was replaced.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point"})

	memoMismatchesTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_memo_mismatches_total",
		Help:           "Remembered answers of a plugin that differed when they were asked for again: its module declares itself pure and is not.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point"})

	swapsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_swaps_total",
		Help:           "Candidates for a plugin by what became of them: InForce, Refused, RolledBack.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "result"})

	configInfo = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name:           "weir_plugin_config_info",
		Help:           "1 for the revision (resourceVersion) of the ConfigMap that is in force as a plugin's configuration.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "configmap", "revision"})

	pluginInfo = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name:           "weir_plugin_info",
		Help:           "1 for each module that is in force or runs in the shadow of one.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "mode"})

	shadowComparisons = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_shadow_comparisons_total",
		Help:           "Answers of a candidate in the shadow that were compared with those of the module in force, by whether they were the Same or Different.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point", "result"})

	callsDesc = metrics.NewDesc("weir_plugin_calls_total",
		"Answers of a plugin by extension point and status code, remembered ones included.",
		[]string{"plugin", "digest", "point", "result"}, nil, metrics.ALPHA, "")

	memoHitsDesc = metrics.NewDesc("weir_plugin_memo_hits_total",
		"Answers of a plugin that were remembered; weir_plugin_calls_total counts them too.",
		[]string{"plugin", "digest", "point"}, nil, metrics.ALPHA, "")

	answers = &answerCollector{all: map[answerKey]*pointMetrics{}, holders: map[moduleKey]int{}}

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(callSeconds, trapsTotal, memoMismatchesTotal, swapsTotal, configInfo, pluginInfo, shadowComparisons)
		legacyregistry.CustomMustRegister(answers)
	})
)

// pointMetrics count the answers of one module at one point. A remembered answer takes some ten nanoseconds, of which a
// counter of the metrics library would be the most, twice; so it is one plain counter, added up when somebody looks.
type pointMetrics struct {
	answerKey
	called, found, askedAgain [framework.Pending + 1]atomic.Uint64
	seconds                   metrics.ObserverMetric
	traps                     atomic.Uint64

	// gone says that the module's series were dropped: a cycle that ends late must not bring them back.
	gone atomic.Bool
}

// moduleKey is a module of a plugin, for which series are kept.
type moduleKey struct{ plugin, digest string }

type answerKey struct {
	moduleKey
	point guest.Point
}

// answered counts an answer of the module itself.
func (m *pointMetrics) answered(code framework.Code) { m.called[code].Add(1) }

// remembered counts an answer that was found in the memo, and says how many there were. again says of the last one that
// the module was asked all the same.
func (m *pointMetrics) remembered(code framework.Code) uint64 { return m.found[code].Add(1) }
func (m *pointMetrics) rememberedMany(code framework.Code, count uint64) uint64 {
	return m.found[code].Add(count)
}
func (m *pointMetrics) again(code framework.Code) { m.askedAgain[code].Add(1) }

func (m *pointMetrics) took(since time.Time) { m.seconds.Observe(time.Since(since).Seconds()) }

func (m *pointMetrics) trapped() {
	m.traps.Add(1)
	if m.gone.Load() {
		return
	}
	trapsTotal.WithLabelValues(m.plugin, m.digest, m.point.Export()).Inc()
}

// report sums the answers up.
func (m *pointMetrics) report() report.Point {
	var point report.Point
	for code := range m.called {
		hits := m.hits(code)
		point.Remembered += hits
		point.Calls += m.called[code].Load() + hits
	}
	point.P50, point.P99 = m.microseconds(0.50), m.microseconds(0.99)
	return point
}

// microseconds estimates a quantile of the time of a call: straight from one bound of its bucket to the next.
func (m *pointMetrics) microseconds(quantile float64) float64 {
	histogram, ok := m.seconds.(interface{ Write(*dto.Metric) error })
	var written dto.Metric
	if !ok || histogram.Write(&written) != nil {
		return 0
	}
	wanted := quantile * float64(written.GetHistogram().GetSampleCount())
	lower, below := 0.0, 0.0
	for _, bucket := range written.GetHistogram().GetBucket() {
		upper, upTo := bucket.GetUpperBound(), float64(bucket.GetCumulativeCount())
		if upTo >= wanted && upTo > below {
			lower += (upper - lower) * (wanted - below) / (upTo - below)
			break
		}
		lower, below = upper, upTo
	}
	return math.Round(lower*1e8) / 100
}

// hits is how many answers of this code the memo gave.
func (m *pointMetrics) hits(code int) uint64 { return m.found[code].Load() - m.askedAgain[code].Load() }

// answerCollector shows the plain counters, and knows which modules are still somebody's: their series go with them, or
// every module that was ever pushed would have some.
type answerCollector struct {
	metrics.BaseStableCollector
	mu  sync.Mutex
	all map[answerKey]*pointMetrics

	// holders is how many versions there are of a module.
	holders map[moduleKey]int
}

// hold keeps a module's series until what it returns is called, and other holders have let go too.
func (c *answerCollector) hold(key moduleKey) (drop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders[key]++
	return sync.OnceFunc(func() { c.drop(key) })
}

func (c *answerCollector) drop(key moduleKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holders[key]--; c.holders[key] > 0 {
		return
	}
	delete(c.holders, key)
	for each, m := range c.all {
		if each.moduleKey == key {
			m.gone.Store(true)
			delete(c.all, each)
		}
	}
	labels := map[string]string{"plugin": key.plugin, "digest": key.digest}
	callSeconds.DeletePartialMatch(labels)
	trapsTotal.DeletePartialMatch(labels)
	memoMismatchesTotal.DeletePartialMatch(labels)
	shadowComparisons.DeletePartialMatch(labels)
}

// of is the counters of a module at a point, the same ones for two profiles with the same plugin.
func (c *answerCollector) of(key answerKey) *pointMetrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.all[key]; ok {
		return found
	}
	made := &pointMetrics{answerKey: key, seconds: callSeconds.WithLabelValues(key.plugin, key.digest, key.point.Export())}
	c.all[key] = made
	return made
}

// DescribeWithStability implements metrics.StableCollector.
func (c *answerCollector) DescribeWithStability(to chan<- *metrics.Desc) {
	to <- callsDesc
	to <- memoHitsDesc
}

// CollectWithStability implements metrics.StableCollector.
func (c *answerCollector) CollectWithStability(to chan<- metrics.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, m := range c.all {
		hits := uint64(0)
		for code := range m.called {
			hits += m.hits(code)
			if all := m.called[code].Load() + m.hits(code); all > 0 {
				to <- metrics.NewLazyConstMetric(callsDesc, metrics.CounterValue, float64(all),
					key.plugin, key.digest, key.point.Export(), framework.Code(code).String())
			}
		}
		to <- metrics.NewLazyConstMetric(memoHitsDesc, metrics.CounterValue, float64(hits), key.plugin, key.digest, key.point.Export())
	}
}
