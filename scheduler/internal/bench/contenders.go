package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// contender is one scheduler with its configuration.
type contender struct {
	name    string
	program string

	// config still has ${KUBECONFIG} in it.
	config string

	// pods of its run, where it is not one side of the ratio; missing says why it cannot run.
	pods    int
	missing string
}

// schedulerName is that of the shipped profile, which all contenders serve.
const schedulerName = "weir-scheduler"

const (
	clientQPS   = 5000
	clientBurst = 5000
)

// contendersOf derives them all from the shipped configuration. Weir and plain upstream come first.
func contendersOf(o options) ([]contender, error) {
	text, err := os.ReadFile(o.config)
	if err != nil {
		return nil, err
	}
	shipped := strings.ReplaceAll(string(text), "${WEIR_PLUGINS}", o.plugins)
	derive := func(change func(profile)) (string, error) { return derived(shipped, change) }
	weir, err1 := derive(func(profile) {})
	plain, err2 := derive(profile.withoutGuests)
	most, err3 := derive(func(p profile) { p.withoutGuests(); p.mostAllocated() })
	bare, err4 := derive(profile.plainArgs)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.config, err)
		}
	}
	upstream := filepath.Join(o.bin, "kube-scheduler")
	extension := filepath.Join(o.bin, "kube-scheduler-wasm")
	all := []contender{
		{name: "weir", program: filepath.Join(o.bin, "weir-scheduler"), config: weir},
		{name: "upstream", program: upstream, config: plain},
		{name: "upstream-most-allocated", program: upstream, config: most, pods: o.pods},
		{name: "extension-our-guests", program: extension, config: bare, pods: o.slowPods},
	}
	for _, peer := range []string{"nodenumber", "filter"} {
		each := contender{name: "extension-tinygo-" + peer, program: extension, pods: o.slowPods}
		module, err := peerModule(o.peers, peer)
		if err != nil {
			each.missing = err.Error()
		} else if each.config, err = derive(func(p profile) { p.withoutGuests(); p.withGuest("Peer", module) }); err != nil {
			return nil, err
		}
		all = append(all, each)
	}
	return all, nil
}

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
	guests := p.guests()
	isGuest := func(entry any) bool { return slices.Contains(guests, entry.(map[string]any)["name"].(string)) }
	p["pluginConfig"] = slices.DeleteFunc(p["pluginConfig"].([]any), isGuest)
	p.multiPoint()["enabled"] = slices.DeleteFunc(p.multiPoint()["enabled"].([]any), isGuest)
}

func (p profile) withGuest(name, module string) {
	p["pluginConfig"] = append(p["pluginConfig"].([]any), map[string]any{
		"name": name, "args": map[string]any{"guestURL": "file://" + module},
	})
	p.multiPoint()["enabled"] = append(p.multiPoint()["enabled"].([]any), map[string]any{"name": name})
}

// plainArgs leaves the args that the plain extension knows.
func (p profile) plainArgs() {
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
