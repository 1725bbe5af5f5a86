// The benchmark behind `make bench-call`: the time of one call of a plugin.
//
// Each row is a module, the host that runs it and an extension point. All get the same pod and the same 64 nodes of real
// size, in rounds that take turns, because what else a machine does hits whoever runs at that moment. "weir" is the
// scheduler's own host, asked each time; "weir, remembered" the same when it remembers; "extension" is the plain one.
//
// Its last line is one JSON document.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/utils/clock"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"

	"weir.dev/scheduler/internal/workload"
	"weir.dev/scheduler/slot"
)

const (
	nodes  = 64
	rounds = 21
	calls  = 20 * nodes // of a round
)

func main() {
	plugins := flag.String("plugins", "../target/plugins", "folder with our modules")
	peers := flag.String("peers", os.Getenv("PEERS"), "folder with other people's modules; without it their rows say so")
	flag.Parse()
	if err := run(context.Background(), *plugins, *peers); err != nil {
		fmt.Fprintln(os.Stderr, "bench-call:", err)
		os.Exit(1)
	}
}

// row is one line of the result. Times are of one call, in microseconds.
type row struct {
	Guest     string  `json:"guest"`
	Host      string  `json:"host"`
	Point     string  `json:"point"`
	UsPerCall *spread `json:"us_per_call,omitempty"`
	NotRun    string  `json:"not_run,omitempty"`

	call   func(framework.Plugin, *framework.CycleState, *v1.Pod, *framework.NodeInfo) *framework.Status
	plugin framework.Plugin
	took   []float64
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func run(ctx context.Context, plugins, peers string) error {
	all := make([]*v1.Node, nodes)
	for i := range all {
		all[i] = workload.GPUHost(fmt.Sprintf("node-%05d", i))
	}
	handle, err := frameworkruntime.NewFramework(ctx, nil, nil,
		frameworkruntime.WithSnapshotSharedLister(cache.NewSnapshot(nil, all)),
		frameworkruntime.WithEventRecorder(silent{}))
	if err != nil {
		return err
	}
	rows, err := rowsOf(ctx, plugins, peers, handle)
	if err != nil {
		return err
	}
	infos, err := handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return err
	}
	for range rounds {
		for _, row := range rows {
			if err := row.round(infos); err != nil {
				return fmt.Errorf("%s on %s at %s: %w", row.Guest, row.Host, row.Point, err)
			}
		}
	}
	for _, row := range rows {
		row.sum()
	}
	text, err := json.Marshal(map[string]any{"rows": rows, "nodes": nodes, "calls": rounds * calls})
	if err == nil {
		fmt.Println(string(text))
	}
	return err
}

// silent takes the events that one of the peers records at each call. Sending them is not what is measured.
type silent struct{}

// Eventf implements events.EventRecorder.
func (silent) Eventf(_, _ apiruntime.Object, _, _, _, _ string, _ ...any) {}

// rowsOf loads every module on every host that it is measured on.
func rowsOf(ctx context.Context, plugins, peers string, handle framework.Handle) ([]*row, error) {
	var rows []*row
	asked := slot.NewHost(clock.RealClock{}, 1)
	trusting := slot.NewHost(clock.RealClock{}, 0)
	for _, guest := range []struct{ name, point string }{
		{"gpu-filter", "filter"}, {"sku-exclusion-filter", "filter"}, {"binpack-score", "score"}, {"loadaware-score", "score"},
	} {
		url, err := fileURL(plugins, guest.name)
		if err != nil {
			return nil, fmt.Errorf("%w; `make plugins` builds it", err)
		}
		called, err1 := asked.New(ctx, guest.name, slot.Args{GuestURL: url}, handle)
		remembered, err2 := trusting.New(ctx, guest.name, slot.Args{GuestURL: url}, handle)
		plain, err3 := wasm.NewFromConfig(ctx, guest.name, wasm.PluginConfig{GuestURL: url}, handle)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		rows = append(rows, newRow(guest.name, "weir, remembered", guest.point, remembered),
			newRow(guest.name, "weir", guest.point, called), newRow(guest.name, "extension", guest.point, plain))
	}
	for _, guest := range []struct{ name, point string }{{"filter", "filter"}, {"nodenumber", "score"}, {"score", "score"}} {
		each := newRow("tinygo "+guest.name, "extension", guest.point, nil)
		rows = append(rows, each)
		if peers == "" {
			each.NotRun = "PEERS names no folder"
			continue
		}
		url, err := fileURL(peers, guest.name)
		if err == nil {
			each.plugin, err = wasm.NewFromConfig(ctx, guest.name, wasm.PluginConfig{GuestURL: url}, handle)
		}
		if err != nil {
			each.NotRun = err.Error()
		}
	}
	return rows, nil
}

func fileURL(folder, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(folder, name+".wasm"))
	if err == nil {
		_, err = os.Stat(path)
	}
	return "file://" + path, err
}

func newRow(guest, host, point string, plugin framework.Plugin) *row {
	made := &row{Guest: guest, Host: host, Point: point, plugin: plugin, call: filter}
	if point == "score" {
		made.call = score
	}
	return made
}

func filter(plugin framework.Plugin, state *framework.CycleState, pod *v1.Pod, node *framework.NodeInfo) *framework.Status {
	return plugin.(framework.FilterPlugin).Filter(context.Background(), state, pod, node)
}

func score(plugin framework.Plugin, state *framework.CycleState, pod *v1.Pod, node *framework.NodeInfo) *framework.Status {
	_, status := plugin.(framework.ScorePlugin).Score(context.Background(), state, pod, node.Node().Name)
	return status
}

// round makes the calls of one cycle after the other, beginning each as kube-scheduler does. The first one is not timed.
func (r *row) round(infos []*framework.NodeInfo) error {
	if r.NotRun != "" {
		return nil
	}
	pod := pod(r.Guest)
	state := framework.NewCycleState()
	if err := r.begin(state, pod, infos); err != nil {
		return err
	}
	for _, info := range infos {
		if status := r.call(r.plugin, state, pod, info); status.Code() == framework.Error {
			return status.AsError()
		}
	}
	start := time.Now()
	for i := range calls {
		r.call(r.plugin, state, pod, infos[i%len(infos)])
	}
	r.took = append(r.took, float64(time.Since(start).Nanoseconds())/1000/calls)
	return nil
}

func (r *row) begin(state *framework.CycleState, pod *v1.Pod, infos []*framework.NodeInfo) error {
	if first, ok := r.plugin.(framework.PreFilterPlugin); ok {
		if _, status := first.PreFilter(context.Background(), state, pod); status.Code() == framework.Error {
			return status.AsError()
		}
	}
	if first, ok := r.plugin.(framework.PreScorePlugin); ok {
		if status := first.PreScore(context.Background(), state, pod, infos); status.Code() == framework.Error {
			return status.AsError()
		}
	}
	return nil
}

// pod is one that the guest scores: loadaware-score is silent about GPU pods.
func pod(guest string) *v1.Pod {
	amounts := v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("16Gi")}
	if guest != "loadaware-score" {
		amounts["nvidia.com/gpu"] = resource.MustParse("1")
	}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "trainer-1", Namespace: "research", UID: "uid", Labels: map[string]string{"job": "trainer"}},
		Spec: v1.PodSpec{Containers: []v1.Container{{
			Name: "main", Image: "example.com/train:1", Resources: v1.ResourceRequirements{Requests: amounts},
		}}},
	}
}

func (r *row) sum() {
	if r.NotRun != "" {
		return
	}
	slices.Sort(r.took)
	r.UsPerCall = &spread{Median: r.took[len(r.took)/2], Min: r.took[0], Max: r.took[len(r.took)-1]}
	fmt.Fprintf(os.Stderr, "%-22s %-17s %-7s %8.2f µs (%.2f to %.2f)\n", r.Guest, r.Host, r.Point, r.UsPerCall.Median, r.UsPerCall.Min, r.UsPerCall.Max)
}
