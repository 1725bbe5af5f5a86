package pluginhost

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/load"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/report"
)

// Host is what the slots of one scheduler process share: the views of the nodes and the samples of their load.
type Host struct {
	clock clock.Clock
	loads *load.Store
	slots atomic.Int64 // how many were made

	// recheckOneIn is of how many remembered answers one is asked for again: 1 is each, 0 none.
	recheckOneIn uint64

	// podView is the pod that a pure guest was asked about last.
	podView atomic.Pointer[podView]

	// nodeSet tells the states of the cluster's Nodes apart.
	nodeSet nodeSetVersion

	// programs are the compiled modules, and limits what every module is granted.
	programs programs
	limits   guest.Limits

	// rawReasons leaves the reasons of modules as they are, and withoutSelfTest takes modules that always fail: for tests, which
	// read messages out of reasons and ask everything.
	rawReasons, withoutSelfTest bool

	mu       sync.Mutex
	watching bool
	caches   map[string]*nodeview.Cache
	live     []*slot

	// identity is who reports; the writer is nil while nothing is reported.
	identity *report.Identity
	writer   atomic.Pointer[report.Writer]
}

// RecheckOneIn is of how many remembered answers one is asked for again in production: rare enough to cost nothing, and
// some times a minute in a busy cluster.
const RecheckOneIn = 10_000

// NewHost is a host without slots. The clock judges which samples of load are fresh. Of so many remembered answers one
// is asked for again and compared: 1 is each, for tests, and 0 none.
func NewHost(clock clock.Clock, recheckOneIn uint64) *Host {
	registerMetrics()
	return &Host{clock: clock, recheckOneIn: recheckOneIn, limits: guest.DefaultLimits(), loads: load.NewStore(clock), caches: map[string]*nodeview.Cache{}}
}

// Factory makes the plugin of this name, anew for each profile that uses it.
func (h *Host) Factory(name string) frameworkruntime.PluginFactory {
	return func(ctx context.Context, raw runtime.Object, handle framework.Handle) (framework.Plugin, error) {
		args, err := parseArgs(raw)
		if err != nil {
			return nil, err
		}
		return h.New(ctx, name, args, handle)
	}
}

// New makes a plugin whose module is that of the args. It implements the interfaces of exactly those extension points
// that the module exports, since kube-scheduler finds out by type assertion where to call a plugin.
func (h *Host) New(ctx context.Context, name string, args Args, handle framework.Handle) (framework.Plugin, error) {
	s, err := h.newSlot(ctx, name, args, handle)
	if err != nil && args.Mode == ModeShadow {
		klog.FromContext(ctx).Error(err, "A plugin that decides nothing is not loaded", "plugin", name)
		return absent{name}, nil
	}
	if err != nil {
		return nil, err
	}
	return masked(s), nil
}

// ReportAs makes the host report, from its first slot on, what its slots have in force.
func (h *Host) ReportAs(identity report.Identity) { h.identity = &identity }

// enter makes a slot part of the report, and leave takes it out.
func (h *Host) enter(ctx context.Context, s *slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = append(h.live, s)
	if h.identity == nil || h.writer.Load() != nil || s.handle.KubeConfig() == nil {
		h.changed()
		return nil
	}
	client, err := report.Connect(s.handle.KubeConfig())
	if err != nil {
		return fmt.Errorf("reporting what is in force: %w", err)
	}
	writer := report.NewWriter(*h.identity, client, h.clock, h.Report)
	h.writer.Store(writer)
	go writer.Run(ctx)
	return nil
}

func (h *Host) leave(s *slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = slices.DeleteFunc(h.live, func(each *slot) bool { return each == s })
	h.changed()
}

// changed lets the report be written soon.
func (h *Host) changed() {
	if writer := h.writer.Load(); writer != nil {
		writer.Changed()
	}
}

// Report is what all slots have in force, by plugin and then profile.
func (h *Host) Report() []report.Plugin {
	h.mu.Lock()
	live := slices.Clone(h.live)
	h.mu.Unlock()
	rows := make([]report.Plugin, 0, len(live))
	for _, s := range live {
		rows = append(rows, s.report())
	}
	slices.SortFunc(rows, func(a, b report.Plugin) int {
		return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Profile, b.Profile))
	})
	return rows
}

// PlacedBy is which version of each plugin answered in a cycle, by the plugins' names. It may be asked from the cycle's
// binding goroutine.
func (h *Host) PlacedBy(state framework.CycleState) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	versions := make(map[string]string, len(h.live))
	for _, s := range h.live {
		if kept, err := state.Read(s.cycles.key); err == nil && !s.shadowOnly {
			versions[s.name] = kept.(*cycle).version.name
		}
	}
	return versions
}

// views is the cache of views with this much detail. Slots that tell the same share one, so that a node which changed
// is built once for all of them.
func (h *Host) views(ctx context.Context, detail nodeview.Detail, handle framework.Handle) (*nodeview.Cache, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if detail.LoadFreshFor > 0 && !h.watching {
		if err := h.loads.Watch(ctx, handle.KubeConfig()); err != nil {
			return nil, err
		}
		h.watching = true
	}
	detail.Annotations = slices.Compact(slices.Sorted(slices.Values(detail.Annotations)))
	key := fmt.Sprint(detail.Whole, detail.WithoutRequests, detail.LoadFreshFor/time.Nanosecond, strings.Join(detail.Annotations, " "))
	cache, ok := h.caches[key]
	if !ok {
		cache = nodeview.NewCache(detail, h.loads, h.clock)
		h.caches[key] = cache
	}
	return cache, nil
}
