package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"sigs.k8s.io/yaml"

	"weir.dev/scheduler/binder"
)

// contender is one scheduler with its configuration.
type contender struct {
	name    string
	program string

	// config still has ${KUBECONFIG} in it.
	config string

	// pods of its run, where it is not one side of a ratio; slow ones have few. missing says why it cannot run.
	pods    int
	slow    bool
	missing string
}

// contenders are all of them. The first of two sides is Weir, the other upstream without plugins.
type contenders struct {
	duel, byDefault [2]contender
	others          []contender
}

// schedulerName is that of the shipped profile, which all contenders serve.
const schedulerName = "weir-scheduler"

const (
	clientQPS   = 5000
	clientBurst = 5000
)

// contendersOf derives them all from the shipped configuration.
func contendersOf(o options) (contenders, error) {
	text, err := os.ReadFile(o.config)
	if err != nil {
		return contenders{}, err
	}
	shipped := strings.ReplaceAll(string(text), "${WEIR_PLUGINS}", o.plugins)
	var errs []error
	derive := func(from string, change func(profile)) string {
		config, err := derived(from, change)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.config, err))
		}
		return config
	}
	sampled := strings.Replace(shipped, allNodes, "percentageOfNodesToScore: 0\n", 1)
	if sampled == shipped {
		errs = append(errs, fmt.Errorf("%s does not say %q", o.config, allNodes))
	}
	program := func(name string) string { return filepath.Join(o.bin, name) }
	duel := func(suffix, from string) [2]contender {
		return [2]contender{
			{name: "weir" + suffix, program: program("weir-scheduler"), config: derive(from, func(profile) {})},
			{name: "upstream" + suffix, program: program("kube-scheduler"), config: derive(from, profile.withoutGuests)},
		}
	}
	all := contenders{duel: duel("", shipped), byDefault: duel("-default-percentage", sampled)}
	all.others = []contender{
		{name: "upstream-most-allocated", program: program("kube-scheduler"), pods: o.pods,
			config: derive(shipped, func(p profile) { p.withoutGuests(); p.mostAllocated() })},
		{name: "extension-our-guests", program: program("kube-scheduler-wasm"), pods: o.slowPods, slow: true,
			config: derive(shipped, profile.plain)},
	}
	for _, peer := range []string{"nodenumber", "filter"} {
		each := contender{name: "extension-tinygo-" + peer, program: program("kube-scheduler-wasm"), pods: o.slowPods, slow: true}
		if module, err := peerModule(o.peers, peer); err != nil {
			each.missing = err.Error()
		} else {
			each.config = derive(shipped, func(p profile) { p.withoutGuests(); p.withGuest("Peer", module) })
		}
		all.others = append(all.others, each)
	}
	return all, errors.Join(errs...)
}

// allNodes is what the shipped configuration says. 0 is kube-scheduler's own rule: half of the nodes of a small cluster,
// a tenth of 5000.
const allNodes = "percentageOfNodesToScore: 100\n"

// peerModule finds somebody else's module by a part of its name.
func peerModule(folder, name string) (string, error) {
	if folder == "" {
		return "", fmt.Errorf("not run: PEERS names no folder")
	}
	found, err := filepath.Glob(filepath.Join(folder, "*"+name+"*.wasm"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("not run: no *%s*.wasm in %s", name, folder)
	}
	return filepath.Abs(found[0])
}

// profile is the first profile of a configuration, as decoded YAML.
type profile map[string]any

// derived changes the first profile and drops the others. Client limits are the same for all, and high enough that they
// are not what is measured.
func derived(text string, change func(profile)) (string, error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return "", err
	}
	first := config["profiles"].([]any)[0].(map[string]any)
	change(first)
	config["profiles"] = []any{first}
	config["leaderElection"] = map[string]any{"leaderElect": false}
	client := config["clientConnection"].(map[string]any)
	client["qps"], client["burst"] = clientQPS, clientBurst
	out, err := yaml.Marshal(config)
	return string(out), err
}

func (p profile) multiPoint() map[string]any {
	return p["plugins"].(map[string]any)["multiPoint"].(map[string]any)
}

// guests are the plugins whose args have a guestURL.
func (p profile) guests() []string {
	var names []string
	for _, each := range p["pluginConfig"].([]any) {
		each := each.(map[string]any)
		if _, ok := each["args"].(map[string]any)["guestURL"]; ok {
			names = append(names, each["name"].(string))
		}
	}
	return names
}

func (p profile) withoutGuests() {
	p.upstreamsBinder()
	guests := p.guests()
	isGuest := func(entry any) bool { return slices.Contains(guests, entry.(map[string]any)["name"].(string)) }
	p["pluginConfig"] = slices.DeleteFunc(p["pluginConfig"].([]any), isGuest)
	p.multiPoint()["enabled"] = slices.DeleteFunc(p.multiPoint()["enabled"].([]any), isGuest)
	p.upstreamsScore()
}

// upstreamsScore puts the score of NodeResourcesFit on again, which ours leaves to BinPackScore: without BinPackScore it is
// the packing.
func (p profile) upstreamsScore() {
	plugins := p["plugins"].(map[string]any)
	delete(plugins, "preScore")
	delete(plugins, "score")
}

func (p profile) withGuest(name, module string) {
	p["pluginConfig"] = append(p["pluginConfig"].([]any), map[string]any{
		"name": name, "args": map[string]any{"guestURL": "file://" + module},
	})
	p.multiPoint()["enabled"] = append(p.multiPoint()["enabled"].([]any), map[string]any{"name": name})
}

// upstreamsBinder takes ours away, which upstream and the plain extension do not have.
func (p profile) upstreamsBinder() {
	named := func(name string) func(any) bool {
		return func(entry any) bool { return entry.(map[string]any)["name"] == name }
	}
	for set, name := range map[string]string{"enabled": binder.Name, "disabled": names.DefaultBinder} {
		p.multiPoint()[set] = slices.DeleteFunc(p.multiPoint()[set].([]any), named(name))
	}
}

// plain leaves what the plain extension knows.
func (p profile) plain() {
	p.upstreamsBinder()
	guests := p.guests()
	for _, each := range p["pluginConfig"].([]any) {
		each := each.(map[string]any)
		if !slices.Contains(guests, each["name"].(string)) {
			continue
		}
		args := each["args"].(map[string]any)
		for key := range args {
			if !slices.Contains([]string{"guestURL", "guestConfig", "logSeverity"}, key) {
				delete(args, key)
			}
		}
	}
}

// mostAllocated is upstream's own way to pack, over CPU and memory.
func (p profile) mostAllocated() {
	for _, each := range p["pluginConfig"].([]any) {
		each := each.(map[string]any)
		if each["name"] == "NodeResourcesFit" {
			each["args"].(map[string]any)["scoringStrategy"] = map[string]any{
				"type": "MostAllocated",
				"resources": []any{
					map[string]any{"name": "cpu", "weight": 1}, map[string]any{"name": "memory", "weight": 1},
				},
			}
		}
	}
}
