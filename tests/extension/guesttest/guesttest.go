// Package guesttest loads our plugins into the unmodified extension, with nothing of ours between them and it.
//
// What a plugin does inside weir-scheduler is tested there. Here stands the promise that the modules also work for
// somebody who has kube-scheduler and the extension, and has never heard of Weir.
package guesttest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"
)

// Folder is where the modules are: WEIR_PLUGINS, or where `make plugins` leaves them.
func Folder() string {
	if folder := os.Getenv("WEIR_PLUGINS"); folder != "" {
		return folder
	}
	return filepath.Join("..", "..", "..", "target", "plugins")
}

// Load loads target/plugins/NAME.wasm with the extension's own constructor. The error is the extension's.
func Load(t testing.TB, name, config string, nodes ...*v1.Node) (framework.Plugin, error) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(Folder(), name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make plugins` first", err)
	}
	plugin, err := wasm.NewFromConfig(context.Background(), name,
		wasm.PluginConfig{GuestURL: "file://" + path, GuestConfig: config},
		handle{lister: newLister(nodes)})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := plugin.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return plugin, nil
}

// MustLoad is Load for a plugin that has to load.
func MustLoad(t testing.TB, name, config string, nodes ...*v1.Node) framework.Plugin {
	t.Helper()
	plugin, err := Load(t, name, config, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// handle knows the nodes, and panics when a plugin asks for more: a plugin of ours has no business there.
type handle struct {
	framework.Handle
	lister *lister
}

func (h handle) SnapshotSharedLister() framework.SharedLister { return h.lister }

// lister answers from a fixed list, as the scheduler's snapshot does during one cycle.
type lister struct {
	nodes  []*framework.NodeInfo
	byName map[string]*framework.NodeInfo
}

var _ framework.SharedLister = (*lister)(nil)

func newLister(nodes []*v1.Node) *lister {
	l := &lister{byName: map[string]*framework.NodeInfo{}}
	for _, node := range nodes {
		info := framework.NewNodeInfo()
		info.SetNode(node)
		l.nodes = append(l.nodes, info)
		l.byName[node.Name] = info
	}
	return l
}

func (l *lister) NodeInfos() framework.NodeInfoLister { return l }
func (l *lister) StorageInfos() framework.StorageInfoLister {
	panic("no plugin of ours asks for volumes")
}

func (l *lister) List() ([]*framework.NodeInfo, error) { return l.nodes, nil }

func (l *lister) Get(name string) (*framework.NodeInfo, error) {
	info, ok := l.byName[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return info, nil
}

func (l *lister) HavePodsWithAffinityList() ([]*framework.NodeInfo, error) {
	panic("no plugin of ours asks for pod affinity")
}

func (l *lister) HavePodsWithRequiredAntiAffinityList() ([]*framework.NodeInfo, error) {
	panic("no plugin of ours asks for pod affinity")
}

// EventsOf are the events that a plugin wants to hear of, as "Resource/Action".
func EventsOf(t testing.TB, plugin framework.Plugin) sets.Set[string] {
	t.Helper()
	events, err := plugin.(framework.EnqueueExtensions).EventsToRegister(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all := sets.New[string]()
	for _, event := range events {
		for bit := framework.ActionType(1); bit <= event.Event.ActionType; bit <<= 1 {
			if event.Event.ActionType&bit != 0 {
				all.Insert(string(event.Event.Resource) + "/" + bit.String())
			}
		}
	}
	return all
}
