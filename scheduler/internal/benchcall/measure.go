package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
)

// A round is two scheduling cycles of every row in turn, of which the second counts: its beginning, which is not timed,
// and then one call for each node. A cycle of its own for each pass over the nodes is what kube-scheduler does, and it matters: TinyGo's SDK keeps
// what it decoded until the next cycle begins, so that a second pass would time a lookup in a list.
//
// What else a machine does hits whoever runs at that moment. So the time is that of the thread and not of the wall, rows
// are compared within a round, and of the rounds the median and the least count: a neighbour who fills the caches makes
// a round slower, and nothing makes one faster than it is.
const nodes = 64

// The hosts of a row.
const (
	weir        = "weir"
	packed      = "weir, packed"
	remembering = "weir, remembered"
)

// peers is how the names of other people's modules begin.
const peers = "tinygo "

// row is one line of the result. Times are of one call, in microseconds.
type row struct {
	Guest string `json:"guest"`
	Host  string `json:"host"`
	Point string `json:"point"`

	// Reads is what the module looks at in a call.
	Reads     string  `json:"reads"`
	UsPerCall *spread `json:"us_per_call,omitempty"`
	NotRun    string  `json:"not_run,omitempty"`

	call   func(framework.Plugin, framework.CycleState, *v1.Pod, framework.NodeInfo) *framework.Status
	plugin framework.Plugin
	pod    *v1.Pod
	took   []float64 // by round
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newRow(guest, host, point, reads string, plugin framework.Plugin) *row {
	made := &row{Guest: guest, Host: host, Point: point, Reads: reads, plugin: plugin, call: filter, pod: podFor(guest)}
	if point == "score" {
		made.call = score
	}
	return made
}

func filter(plugin framework.Plugin, state framework.CycleState, pod *v1.Pod, node framework.NodeInfo) *framework.Status {
	return plugin.(framework.FilterPlugin).Filter(context.Background(), state, pod, node)
}

func score(plugin framework.Plugin, state framework.CycleState, pod *v1.Pod, node framework.NodeInfo) *framework.Status {
	_, status := plugin.(framework.ScorePlugin).Score(context.Background(), state, pod, node)
	return status
}

// measure fills in the rows. The first round is not counted: modules grow their buffers and memos fill.
func measure(rows []*row, infos []framework.NodeInfo, rounds int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run := slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.NotRun != "" })
	for round := range rounds + 1 {
		for turn := range run {
			row := run[(turn+round)%len(run)]
			// Twice, because the first time finds in the caches what the other rows have left there.
			_, err := row.cycle(infos)
			took, again := row.cycle(infos)
			if err := errors.Join(err, again); err != nil {
				return fmt.Errorf("%s on %s at %s: %w", row.Guest, row.Host, row.Point, err)
			}
			if round > 0 {
				row.took = append(row.took, took)
			}
		}
	}
	for _, row := range run {
		row.UsPerCall = spreadOf(row.took)
	}
	return nil
}

// cycle is the time of one call in a new cycle, on average over the nodes.
func (r *row) cycle(infos []framework.NodeInfo) (float64, error) {
	state := upstream.NewCycleState()
	if err := r.begin(state, infos); err != nil {
		return 0, err
	}
	var failed *framework.Status
	start := now()
	for _, info := range infos {
		if status := r.call(r.plugin, state, r.pod, info); status.Code() == framework.Error {
			failed = status
		}
	}
	took := float64((now() - start).Nanoseconds()) / 1000 / float64(len(infos))
	if failed != nil {
		return 0, failed.AsError()
	}
	return took, nil
}

func (r *row) begin(state framework.CycleState, infos []framework.NodeInfo) error {
	if first, ok := r.plugin.(framework.PreFilterPlugin); ok {
		if _, status := first.PreFilter(context.Background(), state, r.pod, infos); status.Code() == framework.Error {
			return status.AsError()
		}
	}
	if first, ok := r.plugin.(framework.PreScorePlugin); ok {
		if status := first.PreScore(context.Background(), state, r.pod, infos); status.Code() == framework.Error {
			return status.AsError()
		}
	}
	return nil
}

// podFor is a pod that the guest scores, as large as a worker of a training job is: loadaware-score is silent about GPU
// pods.
func podFor(guest string) *v1.Pod {
	amounts := v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("16Gi")}
	if guest != "loadaware-score" {
		amounts["nvidia.com/gpu"] = resource.MustParse("1")
	}
	var environment []v1.EnvVar
	for i := range 12 {
		environment = append(environment, v1.EnvVar{Name: fmt.Sprintf("TRAINING_SETTING_%d", i), Value: "some-value"})
	}
	tolerates := func(key string) v1.Toleration {
		return v1.Toleration{Key: "node.kubernetes.io/" + key, Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoExecute}
	}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "trainer-worker-1", Namespace: "research", UID: "5ef2b4c0-8d1f-4a3e-9d53-8f1f0c8b9a77",
			Labels:      map[string]string{"job": "trainer", "ray.io/cluster": "trainer", "ray.io/node-type": "worker", "team": "vision"},
			Annotations: map[string]string{"weir.dev/pool": "research"},
		},
		Spec: v1.PodSpec{
			Containers: []v1.Container{{
				Name: "main", Image: "example.com/train:1", Command: []string{"python", "-m", "train"}, Env: environment,
				Resources: v1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}},
			Tolerations: []v1.Toleration{tolerates("not-ready"), tolerates("unreachable")},
		},
	}
}

// comparison is how many times faster a row of ours is than the peer that does the same work, round by round.
type comparison struct {
	Guest       string  `json:"guest"`
	Host        string  `json:"host"`
	Peer        string  `json:"peer"`
	TimesFaster *spread `json:"times_faster"`
	Pairs       int     `json:"pairs"`
}

func comparisons(rows []*row) []comparison {
	all := []comparison{} // an empty list in JSON, not null
	for _, peer := range rows {
		for _, ours := range rows {
			isPair := strings.HasPrefix(peer.Guest, peers) && !strings.HasPrefix(ours.Guest, peers)
			if !isPair || ours.Point != peer.Point || ours.Reads != peer.Reads || ours.NotRun != "" || peer.NotRun != "" {
				continue
			}
			ratios := make([]float64, len(ours.took))
			for round := range ratios {
				ratios[round] = peer.took[round] / ours.took[round]
			}
			all = append(all, comparison{ours.Guest, ours.Host, peer.Guest, spreadOf(ratios), len(ratios)})
		}
	}
	return all
}

// metering is how many times as long a call takes because the module counts what it executes, round by round.
type metering struct {
	Guest       string  `json:"guest"`
	TimesAsLong *spread `json:"times_as_long"`
	Pairs       int     `json:"pairs"`
}

func meteringOf(rows []*row) []metering {
	var all []metering
	for _, counting := range rows {
		for _, plain := range rows {
			if counting.Host != packed || plain.Host != weir || plain.Guest != counting.Guest {
				continue
			}
			ratios := make([]float64, len(plain.took))
			for round := range ratios {
				ratios[round] = counting.took[round] / plain.took[round]
			}
			all = append(all, metering{plain.Guest, spreadOf(ratios), len(ratios)})
		}
	}
	return all
}

func spreadOf(values []float64) *spread {
	sorted := slices.Sorted(slices.Values(values))
	return &spread{Median: sorted[len(sorted)/2], Min: sorted[0], Max: sorted[len(sorted)-1]}
}

func (r *row) String() string {
	if r.NotRun != "" {
		return fmt.Sprintf("%-22s %-17s %-7s not run: %s", r.Guest, r.Host, r.Point, r.NotRun)
	}
	return fmt.Sprintf("%-22s %-17s %-7s %8.2f µs (%.2f to %.2f)", r.Guest, r.Host, r.Point, r.UsPerCall.Median, r.UsPerCall.Min, r.UsPerCall.Max)
}

func (m metering) String() string {
	return fmt.Sprintf("%-22s packed, a call takes %.2f times as long (%.2f to %.2f)", m.Guest, m.TimesAsLong.Median, m.TimesAsLong.Min, m.TimesAsLong.Max)
}

func (c comparison) String() string {
	return fmt.Sprintf("%-22s %-17s %5.1f times faster than %s (%.1f to %.1f)", c.Guest, c.Host, c.TimesFaster.Median, c.Peer, c.TimesFaster.Min, c.TimesFaster.Max)
}
