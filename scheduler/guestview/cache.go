package guestview

import (
	"sync"
	"sync/atomic"

	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// View is one node as guests see it. It never changes, so it may be read from any goroutine at any time, unlike the
// NodeInfo that it was made from, which belongs to the scheduling cycle.
type View struct {
	// Info carries the guest's Node, because the extension asks its handle for a NodeInfo.
	Info *framework.NodeInfo

	generation int64
}

// View builds the view of a node as it is in this NodeInfo.
func (d Detail) View(info *framework.NodeInfo) *View {
	told := framework.NewNodeInfo()
	told.SetNode(d.Node(info))
	if d.Whole {
		told.ImageStates = info.ImageStates
	}
	return &View{Info: told, generation: info.Generation}
}

// Cache keeps the last view of each node, so that a view is built when the node changes and not at each call.
//
// A NodeInfo's Generation moves with every change of the node or of its pods and is never used twice, not even for
// another node; two NodeInfos of one Generation tell the same. The cache may be used from any goroutine.
type Cache struct {
	detail Detail
	nodes  sync.Map // of node name (string) to *atomic.Pointer[View]
	count  atomic.Int64
}

// NewCache makes an empty cache of views with this much detail.
func NewCache(detail Detail) *Cache {
	return &Cache{detail: detail}
}

// Of is the view of a node as it is in this NodeInfo.
func (c *Cache) Of(info *framework.NodeInfo) *View {
	slot, ok := c.nodes.Load(info.Node().Name)
	if !ok {
		var loaded bool
		if slot, loaded = c.nodes.LoadOrStore(info.Node().Name, new(atomic.Pointer[View])); !loaded {
			c.count.Add(1)
		}
	}
	last := slot.(*atomic.Pointer[View])
	if view := last.Load(); view != nil && view.generation == info.Generation {
		return view
	}
	view := c.detail.View(info)
	last.Store(view)
	return view
}

// Captured is the last view of a node that was built, whatever has happened to the node since. It reads nothing that
// belongs to a scheduling cycle. It is nil for a node of which no view was ever asked.
func (c *Cache) Captured(name string) *View {
	slot, ok := c.nodes.Load(name)
	if !ok {
		return nil
	}
	return slot.(*atomic.Pointer[View]).Load()
}

// AllCaptured is the last view of every node of which one was built, in no order.
func (c *Cache) AllCaptured() []*View {
	views := make([]*View, 0, c.count.Load())
	c.nodes.Range(func(_, slot any) bool {
		if view := slot.(*atomic.Pointer[View]).Load(); view != nil {
			views = append(views, view)
		}
		return true
	})
	return views
}

// Len is the number of nodes that the cache holds, those included that are gone from the cluster.
func (c *Cache) Len() int {
	return int(c.count.Load())
}

// Forget drops the nodes that are not in the cluster any more.
func (c *Cache) Forget(exists func(name string) bool) {
	c.nodes.Range(func(name, _ any) bool {
		if !exists(name.(string)) {
			if _, present := c.nodes.LoadAndDelete(name); present {
				c.count.Add(-1)
			}
		}
		return true
	})
}

// Detail is how much of a Node the cache's views have.
func (c *Cache) Detail() Detail {
	return c.detail
}
