// The benchmark behind `make bench-call`: the time of one call of a plugin.
//
// Each row is a module, the host that runs it and an extension point. All get the same pod and the same 64 nodes of real
// size. "weir" is the scheduler's own host, asked each time; "weir, packed" the same with the module that is loaded in
// production, which counts what it executes; "weir, remembered" the same when it remembers. The peers are other people's
// modules on the same host; what they take in the unmodified extension, tests/extension measures.
// Beside the rows stands how long it takes to put another module in force.
//
// Its last line is one JSON document. How it is measured is in measure.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	realclock "k8s.io/utils/clock"

	"weir.dev/scheduler/internal/workload"
	"weir.dev/scheduler/pluginhost"
)

func main() {
	plugins := flag.String("plugins", "../target/plugins", "folder with our modules")
	others := flag.String("peers", os.Getenv("PEERS"), "folder with other people's modules; without it their rows say so")
	rounds := flag.Int("rounds", 300, "how often each row is measured")
	flag.Parse()
	if err := run(context.Background(), *plugins, *others, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench-call:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, others string, rounds int) error {
	if rounds < 1 {
		return fmt.Errorf("-rounds is %d; expected at least 1", rounds)
	}
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
	rows, err := rowsOf(ctx, plugins, others, handle)
	if err != nil {
		return err
	}
	infos, err := handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return err
	}
	if err := measure(rows, infos, rounds); err != nil {
		return err
	}
	for _, row := range rows {
		fmt.Fprintln(os.Stderr, row)
	}
	against := comparisons(rows)
	for _, each := range against {
		fmt.Fprintln(os.Stderr, each)
	}
	metered := meteringOf(rows)
	for _, each := range metered {
		fmt.Fprintln(os.Stderr, each)
	}
	swaps, err := measureSwaps(ctx, plugins, "gpu-filter", handle)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, swaps)
	text, err := json.Marshal(map[string]any{"rows": rows, "against": against, "metering": metered, "swap": swaps, "clock": clock, "nodes": nodes, "rounds": rounds})
	if err == nil {
		fmt.Println(string(text))
	}
	return err
}

// silent takes the events that one of the peers records at each call. Sending them is not what is measured.
type silent struct{}

// Eventf implements events.EventRecorder.
func (silent) Eventf(_, _ apiruntime.Object, _, _, _, _ string, _ ...any) {}

// WithLogger implements events.EventRecorderLogger.
func (s silent) WithLogger(klog.Logger) events.EventRecorderLogger { return s }

// errorsOnly keeps the lines that one of the peers logs at each call out of the log and out of the times.
const errorsOnly = 2

// What a row's module looks at. Only rows that look at the same can be compared.
const (
	podAndNode = "pod and node"
	podAndName = "pod, name of the node"
)

// rowsOf loads every module on every host that it is measured on.
func rowsOf(ctx context.Context, plugins, others string, handle framework.Handle) ([]*row, error) {
	var rows []*row
	asked := pluginhost.NewHost(realclock.RealClock{}, 1)
	trusting := pluginhost.NewHost(realclock.RealClock{}, 0)
	for _, guest := range []struct{ name, point string }{
		{"gpu-filter", "filter"}, {"sku-exclusion-filter", "filter"}, {"binpack-score", "score"}, {"loadaware-score", "score"},
	} {
		url, err := fileURL(plugins, guest.name)
		if err != nil {
			return nil, fmt.Errorf("%w; `make plugins` builds it", err)
		}
		called, err1 := asked.New(ctx, guest.name, pluginhost.Args{AllowUnmetered: true, GuestURL: url, LogSeverity: errorsOnly}, handle)
		remembered, err2 := trusting.New(ctx, guest.name, pluginhost.Args{AllowUnmetered: true, GuestURL: url, LogSeverity: errorsOnly}, handle)
		url, err3 := fileURL(filepath.Join(plugins, "packed"), guest.name)
		metered, err4 := asked.New(ctx, guest.name, pluginhost.Args{GuestURL: url, LogSeverity: errorsOnly}, handle)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, err
		}
		rows = append(rows, newRow(guest.name, remembering, guest.point, "nothing", remembered),
			newRow(guest.name, weir, guest.point, podAndNode, called),
			newRow(guest.name, packed, guest.point, podAndNode, metered))
	}
	return append(rows, peerRows(ctx, others, asked, handle)...), nil
}

// peerRows are the modules in TinyGo that the extension ships. Without arguments its filter evaluates the spec of the
// pod and of the node and lets every pod pass: it decodes both, the pod once in a cycle, as its SDK does it, and each
// node at the first call about it. With arguments it would not look at the node of a pod without nodeName. Its two
// scores look at the name of the node alone, so there is no peer for a score that reads nodes.
func peerRows(ctx context.Context, folder string, host *pluginhost.Host, handle framework.Handle) []*row {
	var rows []*row
	for _, guest := range []struct{ name, point, reads string }{
		{"filter", "filter", podAndNode}, {"nodenumber", "score", podAndName}, {"score", "score", podAndName},
	} {
		each := newRow(peers+guest.name, weir, guest.point, guest.reads, nil)
		rows = append(rows, each)
		if folder == "" {
			each.NotRun = "PEERS names no folder"
			continue
		}
		url, err := fileURL(folder, guest.name)
		if err == nil {
			each.plugin, err = host.New(ctx, guest.name, pluginhost.Args{AllowUnmetered: true, GuestURL: url, LogSeverity: errorsOnly}, handle)
		}
		if err != nil {
			each.NotRun = err.Error()
		}
	}
	return rows
}

func fileURL(folder, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(folder, name+".wasm"))
	if err == nil {
		_, err = os.Stat(path)
	}
	return "file://" + path, err
}
