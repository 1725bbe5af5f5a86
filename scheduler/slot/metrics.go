package slot

import (
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// The metrics live in kube-scheduler's own registry, so /metrics shows them without another port.
var (
	callsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_calls_total",
		Help:           "Answers of a plugin by extension point and status code, remembered ones included.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point", "result"})

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

	memoHitsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_memo_hits_total",
		Help:           "Answers of a plugin that were remembered; weir_plugin_calls_total counts them too.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point"})

	memoMismatchesTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "weir_plugin_memo_mismatches_total",
		Help:           "Remembered answers of a plugin that differed when they were asked for again: its module declares itself pure and is not.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "point"})

	pluginInfo = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name:           "weir_plugin_info",
		Help:           "1 for each module that is in force or runs in the shadow of one.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"plugin", "digest", "mode"})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(callsTotal, callSeconds, trapsTotal, memoHitsTotal, memoMismatchesTotal, pluginInfo)
	})
)

// point is an extension point's name in metrics and messages: the name of the module's export.
type point string

const (
	pointAddPod         point = "addpod"
	pointBind           point = "bind"
	pointEnqueue        point = "enqueue"
	pointFilter         point = "filter"
	pointNormalizeScore point = "normalizescore"
	pointPermit         point = "permit"
	pointPostBind       point = "postbind"
	pointPostFilter     point = "postfilter"
	pointPreBind        point = "prebind"
	pointPreFilter      point = "prefilter"
	pointPreScore       point = "prescore"
	pointRemovePod      point = "removepod"
	pointReserve        point = "reserve"
	pointScore          point = "score"
	pointUnreserve      point = "unreserve"
)

// allPoints are the exports that a module is called at.
var allPoints = []point{
	pointAddPod, pointBind, pointEnqueue, pointFilter, pointNormalizeScore, pointPermit, pointPostBind, pointPostFilter,
	pointPreBind, pointPreFilter, pointPreScore, pointRemovePod, pointReserve, pointScore, pointUnreserve,
}

// pointMetrics are the series of one point of one module, looked up once: a lookup by labels costs more than a
// remembered verdict.
type pointMetrics struct {
	plugin, digest string
	point          point
	results        [framework.Pending + 1]atomic.Pointer[metrics.CounterMetric]
	seconds        metrics.ObserverMetric
	hits           metrics.CounterMetric
}

func newPointMetrics(plugin, digest string, p point) *pointMetrics {
	return &pointMetrics{
		plugin: plugin, digest: digest, point: p,
		seconds: callSeconds.WithLabelValues(plugin, digest, string(p)),
		hits:    memoHitsTotal.WithLabelValues(plugin, digest, string(p)),
	}
}

// answered counts an answer. The series of a code begins with the first answer of that code.
func (m *pointMetrics) answered(code framework.Code) {
	counter := m.results[code].Load()
	if counter == nil {
		found := callsTotal.WithLabelValues(m.plugin, m.digest, string(m.point), code.String())
		counter = &found
		m.results[code].Store(counter)
	}
	(*counter).Inc()
}

func (m *pointMetrics) took(since time.Time) {
	m.seconds.Observe(time.Since(since).Seconds())
}

func (m *pointMetrics) trapped() {
	trapsTotal.WithLabelValues(m.plugin, m.digest, string(m.point)).Inc()
}
