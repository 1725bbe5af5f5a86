// The benchmark behind `make bench-schedule`: pods per second and CPU per pod of schedulers that are set up alike.
//
// It decides what is fair: every scheduler gets the same nodes, the same pods, the same client limits, the same in-tree
// plugins and the same percentageOfNodesToScore, all from scheduler-config/weir.yaml; every pod fits the same nodes for
// all of them, and all must be placed. The pods wait before a scheduler starts, and the time runs from the first binding
// to the last, so that neither the pods' creation nor a scheduler's start is in it. Runs of the two sides of a ratio
// take turns, and the ratio is of neighbours: what else the machine does hits both.
//
// Its last line is one JSON document.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	options, err := readOptions()
	if err == nil {
		err = run(ctx, options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-schedule:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	etcd, apiserver string
	bin, plugins    string
	config          string
	peers           string
	sizes           []int
	pairs, pods     int
	slowPods        int
	skipRest        bool
	profile         string
}

func readOptions() (options, error) {
	var o options
	var programs, sizes string
	flag.StringVar(&programs, "programs", "../.cache/programs", "folder that holds etcd and kube-apiserver, at any depth")
	flag.StringVar(&o.bin, "bin", "../target/bin", "folder with weir-scheduler, kube-scheduler and kube-scheduler-wasm")
	flag.StringVar(&o.plugins, "plugins", "../target/plugins", "folder with the modules")
	flag.StringVar(&o.config, "config", "../scheduler-config/weir.yaml", "the configuration that all are derived from")
	flag.StringVar(&o.peers, "peers", os.Getenv("PEERS"), "folder with other people's modules; without it their rows say so")
	flag.StringVar(&sizes, "nodes", "1000,5000", "cluster sizes")
	flag.IntVar(&o.pairs, "pairs", 5, "pairs of runs for each ratio")
	flag.IntVar(&o.pods, "pods", 1000, "pods of a run")
	flag.IntVar(&o.slowPods, "slow-pods", 100, "pods of a run of the schedulers that are slow")
	flag.BoolVar(&o.skipRest, "skip-rest", false, "run only the two sides of the ratio, with percentageOfNodesToScore 100")
	flag.StringVar(&o.profile, "cpu-profile", "", "keep a CPU profile of each scheduler as this and its name")
	flag.Parse()
	for _, size := range strings.Split(sizes, ",") {
		nodes, err := strconv.Atoi(size)
		if err != nil {
			return o, fmt.Errorf("-nodes %q: %w", sizes, err)
		}
		o.sizes = append(o.sizes, nodes)
	}
	var err error
	for _, path := range []*string{&o.bin, &o.plugins, &o.config, &programs} {
		if *path, err = filepath.Abs(*path); err != nil {
			return o, err
		}
	}
	if o.etcd, err = find(programs, "etcd"); err != nil {
		return o, err
	}
	o.apiserver, err = find(programs, "kube-apiserver")
	return o, err
}

// find is the program of this name under a folder.
func find(folder, name string) (string, error) {
	found := ""
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() == name {
			found = path
		}
		return nil
	})
	if err != nil || found == "" {
		return "", fmt.Errorf("no %s under %s; `make run` builds it (%v)", name, folder, err)
	}
	return found, nil
}

// document is the last line.
type document struct {
	Rows  []row            `json:"rows"`
	Ratio map[string]ratio `json:"ratio"`
	Setup map[string]any   `json:"setup"`
}

type row struct {
	Scheduler   string  `json:"scheduler"`
	Nodes       int     `json:"nodes"`
	Pods        int     `json:"pods"`
	Placed      int     `json:"placed"`
	PodsPerS    *spread `json:"pods_per_s,omitempty"`
	CPUMsPerPod *spread `json:"cpu_ms_per_pod,omitempty"`
	NotRun      string  `json:"not_run,omitempty"`
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

type ratio struct {
	PodsPerS float64 `json:"pods_per_s"`
	CPU      float64 `json:"cpu"`
	Pairs    int     `json:"pairs"`
}

func run(ctx context.Context, o options) error {
	out := document{Ratio: map[string]ratio{}, Setup: map[string]any{
		"pods": o.pods, "qps": clientQPS, "burst": clientBurst, "percentageOfNodesToScore": 100,
	}}
	for _, nodes := range o.sizes {
		if err := runSize(ctx, o, nodes, &out); err != nil {
			return err
		}
	}
	text, err := json.Marshal(out)
	if err == nil {
		fmt.Println(string(text))
	}
	return err
}

func runSize(ctx context.Context, o options, nodes int, out *document) error {
	cluster, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer cluster.stop()
	say("%d nodes: creating", nodes)
	if err := cluster.createNodes(ctx, nodes); err != nil {
		return err
	}
	contenders, err := contendersOf(o)
	if err != nil {
		return err
	}
	if err := cluster.duel(ctx, o, nodes, contenders.duel, strconv.Itoa(nodes), out); err != nil || o.skipRest {
		return err
	}
	if err := cluster.duel(ctx, o, nodes, contenders.byDefault, fmt.Sprintf("%d, default percentageOfNodesToScore", nodes), out); err != nil {
		return err
	}
	for _, other := range contenders.others {
		row := row{Scheduler: other.name, Nodes: nodes, NotRun: other.missing}
		if other.slow && nodes > slowUpTo {
			row.NotRun = fmt.Sprintf("not run: it is slow, and measured up to %d nodes", slowUpTo)
		}
		if row.NotRun == "" {
			measured, err := cluster.measure(ctx, other, nodes, other.pods)
			if err != nil {
				return err
			}
			row = rowOf(other, nodes, other.pods, []result{measured})
		}
		out.Rows = append(out.Rows, row)
	}
	return nil
}

// slowUpTo is the largest cluster that the slow ones are measured on.
const slowUpTo = 1000

// duel measures two schedulers in turn: two rows, and a ratio under this key.
func (c *cluster) duel(ctx context.Context, o options, nodes int, sides [2]contender, key string, out *document) error {
	pair := [2][]result{}
	for i := range o.pairs {
		for _, side := range turns(i) {
			measured, err := c.measure(ctx, sides[side], nodes, o.pods)
			if err != nil {
				return err
			}
			pair[side] = append(pair[side], measured)
		}
	}
	for side, results := range pair {
		out.Rows = append(out.Rows, rowOf(sides[side], nodes, o.pods, results))
	}
	out.Ratio[key] = ratioOf(pair)
	return nil
}

// turns lets the side that goes first change from pair to pair.
func turns(pair int) []int {
	if pair%2 == 0 {
		return []int{0, 1}
	}
	return []int{1, 0}
}

func rowOf(c contender, nodes, pods int, results []result) row {
	placed := pods
	var rates, cpu []float64
	for _, r := range results {
		placed = min(placed, r.placed)
		rates = append(rates, r.podsPerS)
		cpu = append(cpu, r.cpuMsPerPod)
	}
	return row{Scheduler: c.name, Nodes: nodes, Pods: pods, Placed: placed, PodsPerS: spreadOf(rates), CPUMsPerPod: spreadOf(cpu)}
}

func ratioOf(pair [2][]result) ratio {
	var rates, cpu []float64
	for i := range pair[0] {
		rates = append(rates, pair[0][i].podsPerS/pair[1][i].podsPerS)
		cpu = append(cpu, pair[0][i].cpuMsPerPod/pair[1][i].cpuMsPerPod)
	}
	return ratio{PodsPerS: spreadOf(rates).Median, CPU: spreadOf(cpu).Median, Pairs: len(rates)}
}

func spreadOf(values []float64) *spread {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return &spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
