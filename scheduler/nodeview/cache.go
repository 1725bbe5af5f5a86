package nodeview

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/load"
)

// View is one node as guests see it. It never changes, so it may be read from any goroutine at any time, unlike the
// NodeInfo that it was made from, which belongs to the scheduling cycle.
type View struct {
	// Name is the node's.
	Name string

	// ID is of what the view tells: of this view, and of those right before and after it that tell the same. A memo
	// remembers an answer by ID, which keeps no view alive that is not needed any more.
	ID uint64

	// inline is the Node's message behind two marks.
	inline string

	// images are those on a Node that is told whole.
	images map[string]*framework.ImageStateSummary

	// generation is of the NodeInfo that the view was made from, 0 where a Generation says nothing. first is that of the
	// first of the views in a row that tell the same.
	generation, first int64

	// requested is what the NodeInfo had.
	requested amounts

	// sample is the last sample when the view was made, told or not; expires is when it stops being told, zero if it is
	// not told.
	sample  *load.Sample
	expires time.Time
}

// amounts are what the pods of a node ask for, and how many they are.
type amounts struct {
	milliCPU, memory, disk int64
	scalars                map[v1.ResourceName]int64
	pods                   int
}

// amountsOf copies, for the NodeInfo's own map changes.
func amountsOf(info framework.NodeInfo) amounts {
	requested := info.GetRequested()
	return amounts{
		milliCPU: requested.GetMilliCPU(), memory: requested.GetMemory(), disk: requested.GetEphemeralStorage(),
		scalars: maps.Clone(requested.GetScalarResources()), pods: len(info.GetPods()),
	}
}

func (a *amounts) areOf(info framework.NodeInfo) bool {
	requested := info.GetRequested()
	return a.pods == len(info.GetPods()) && a.milliCPU == requested.GetMilliCPU() && a.memory == requested.GetMemory() &&
		a.disk == requested.GetEphemeralStorage() && maps.Equal(a.scalars, requested.GetScalarResources())
}

// firstID is above every Generation, so that an ID and a Generation are never the same key.
const firstID = 1 << 43

var lastID atomic.Uint64

func init() { lastID.Store(firstID) }

// View builds the view of a node as it is in this NodeInfo, without load.
func (d Detail) View(info framework.NodeInfo) *View {
	return d.view(info, info.GetGeneration(), d.shellOf(info.Node()), nil, time.Time{})
}

// view builds a view. The shell is that of the node's Node, nil if it is told whole.
func (d Detail) view(info framework.NodeInfo, generation int64, outside *shell, sample *load.Sample, now time.Time) *View {
	view := &View{Name: info.Node().Name, ID: lastID.Add(1), generation: generation, first: generation, sample: sample}
	if d.tellsOfNodeAndRequests() {
		view.requested = amountsOf(info)
	}
	var fresh *load.Sample
	if sample != nil {
		if expires := sample.Expires(d.LoadFreshFor); now.Before(expires) {
			fresh, view.expires = sample, expires
		}
	}
	if d.Whole {
		view.images = info.GetImageStates()
	}
	view.inline = string(d.appendMessage([]byte(anotherPod+inlineNode), info, outside, fresh))
	return view
}

// appendMessage appends the message of what is told of a node.
func (d Detail) appendMessage(to []byte, info framework.NodeInfo, outside *shell, fresh *load.Sample) []byte {
	if outside != nil {
		return outside.appendMessage(to, d.told(info, fresh))
	}
	message, err := d.Node(info, fresh).Marshal()
	if err != nil {
		return to // an empty Node, which no plugin takes for a host of its pods
	}
	return append(to, message...)
}

// Marks in front of a message. No name of a node begins with one of them.
const (
	anotherPod = "\x01"
	inlineNode = "\x02"
)

// Message is the Node as guests are told of it.
func (v *View) Message() string { return v.inline[len(anotherPod+inlineNode):] }

// Inline is what a module that takes its node inline is told as the name of the node of a call: a mark if the pod is
// another one than that of the call before that told a node so, a mark for what follows, and the message of the Node. Both
// texts are parts of one, so that none is made for a call.
func (v *View) Inline(samePod bool) string {
	if samePod {
		return v.inline[len(anotherPod):]
	}
	return v.inline
}

// Images are the images on a Node that is told whole.
func (v *View) Images() map[string]*framework.ImageStateSummary { return v.images }

// Told is the Node that the guest reads; for tests and for people.
func (v *View) Told() (*v1.Node, error) {
	told := &v1.Node{}
	return told, told.Unmarshal([]byte(v.Message()))
}

// Cache keeps the last view of each node, so that a view is built when what it tells changes and not at each call: when
// the node or its pods change, when a new sample of its load comes, and when the sample that it tells gets too old.
//
// A NodeInfo's Generation moves with every change of the node or of its pods and is never used twice, not even for
// another node; two NodeInfos of one Generation tell the same. Only in the cycle of a pod group this is not so (ByContent).
// The cache may be used from any goroutine.
type Cache struct {
	detail Detail
	loads  *load.Store
	clock  clock.PassiveClock
	nodes  sync.Map // of node name (string) to *slot
	count  atomic.Int64
}

// slot is what the cache has of one node.
type slot = atomic.Pointer[entry]

// entry is the last two views of a node, the one used last first. There are two because Filter is called twice for a
// node that pods are nominated to, once as if they were there and once without them.
type entry struct {
	first, second *View

	// node is the Node that the first was made from, and shell a part of it. What a Node object has never changes.
	node  *v1.Node
	shell *shell
}

// unchanged says whether the first view tells the truth of a NodeInfo that is another than the one it was made from: its
// Generation moves also when a binding is confirmed, of which nothing is told.
func (e *entry) unchanged(d Detail, info framework.NodeInfo) bool {
	if e.first == nil || e.node != info.Node() || !d.tellsOfNodeAndRequests() {
		return false
	}
	return d.WithoutRequests || e.first.requested.areOf(info)
}

// shellOf makes a shell only for a Node that is another.
func (e *entry) shellOf(d Detail, node *v1.Node) *shell {
	if e.node == node {
		return e.shell
	}
	return d.shellOf(node)
}

// tellsOfNodeAndRequests is not so of a load, which changes by itself, nor of a whole Node, which tells of the images on
// all nodes.
func (d Detail) tellsOfNodeAndRequests() bool { return d.LoadFreshFor == 0 && !d.Whole }

// NewCache makes an empty cache of views with this much detail. The clock says which samples are fresh; loads may be
// nil where the detail asks for no load.
func NewCache(detail Detail, loads *load.Store, clock clock.PassiveClock) *Cache {
	return &Cache{detail: detail, loads: loads, clock: clock}
}

// Detail is how much of a Node the cache's views have.
func (c *Cache) Detail() Detail { return c.detail }

// ByGeneration reads the cache for NodeInfos whose Generation moves with each change.
func (c *Cache) ByGeneration() Reader { return Reader{c, false} }

// ByContent reads it for the cycle of a pod group, in which the scheduler adds the group's pods to NodeInfos and takes them
// away again under one and the same Generation. Nothing goes by the Generation then.
func (c *Cache) ByContent() Reader { return Reader{c, true} }

// Of is the view of a node as it is in this NodeInfo.
func (c *Cache) Of(info framework.NodeInfo) *View { return c.ByGeneration().Of(info) }

// Reader is a cache as one kind of cycle reads it.
type Reader struct {
	cache     *Cache
	byContent bool
}

// Key names what guests are told of a node, cheaply: two calls with the same key would get the same view. It is the
// NodeInfo's Generation where that moves with all that a view is made of; otherwise it is the ID of the view, which then
// comes with it.
func (r Reader) Key(info framework.NodeInfo) (uint64, *View) {
	if r.byGeneration() {
		return uint64(info.GetGeneration()), nil
	}
	view := r.Of(info)
	return view.ID, view
}

// FirstKey is the key under which guests were told the same of this node first: most changes of a NodeInfo (a heartbeat of
// its kubelet, a binding that is confirmed) are none of what a guest is told. It is for keys that come without a view.
func (r Reader) FirstKey(info framework.NodeInfo) uint64 { return uint64(r.Of(info).first) }

// KeysOf are the keys of a node of which this view was told, as Key and as FirstKey give them.
func (r Reader) KeysOf(info framework.NodeInfo, told *View) (key, first uint64) {
	if r.byGeneration() {
		return uint64(info.GetGeneration()), uint64(told.first)
	}
	return told.ID, told.ID
}

func (r Reader) byGeneration() bool { return !r.byContent && r.cache.detail.LoadFreshFor == 0 }

// Of is the view of a node as it is in this NodeInfo.
func (r Reader) Of(info framework.NodeInfo) *View {
	c := r.cache
	name := info.Node().Name
	generation := info.GetGeneration()
	if r.byContent {
		generation = 0
	}
	at := c.slot(name)
	var sample *load.Sample
	var now time.Time
	if c.detail.LoadFreshFor > 0 {
		sample, now = c.loads.Of(name), c.clock.Now()
	}
	last := at.Load()
	switch {
	case last == nil:
		last = &entry{}
	case last.first.isCurrent(generation, sample, now):
		return last.first
	case last.second != nil && last.second.isCurrent(generation, sample, now):
		at.Store(&entry{first: last.second, second: last.first, node: info.Node(), shell: last.shellOf(c.detail, info.Node())})
		return last.second
	case last.unchanged(c.detail, info):
		if r.byContent {
			return last.first
		}
		same := *last.first
		same.generation, same.first = generation, cmp.Or(same.first, generation)
		at.Store(&entry{first: &same, second: last.second, node: last.node, shell: last.shell})
		return &same
	}
	outside := last.shellOf(c.detail, info.Node())
	view := c.detail.view(info, generation, outside, sample, now)
	for _, before := range []*View{last.first, last.second} {
		if before != nil && before.inline == view.inline {
			view.inline, view.ID, view.first = before.inline, before.ID, cmp.Or(before.first, view.first)
			break
		}
	}
	at.Store(&entry{first: view, second: last.first, node: info.Node(), shell: outside})
	return view
}

// Captured is as Cache.Captured.
func (r Reader) Captured(name string) *View { return r.cache.Captured(name) }

// AllCaptured is as Cache.AllCaptured.
func (r Reader) AllCaptured() []*View { return r.cache.AllCaptured() }

// isCurrent says whether the view still tells the truth.
func (v *View) isCurrent(generation int64, sample *load.Sample, now time.Time) bool {
	return generation != 0 && v.generation == generation && v.sample == sample && (v.expires.IsZero() || now.Before(v.expires))
}

func (c *Cache) slot(name string) *slot {
	if found, ok := c.nodes.Load(name); ok {
		return found.(*slot)
	}
	made, loaded := c.nodes.LoadOrStore(name, new(slot))
	if !loaded {
		c.count.Add(1)
	}
	return made.(*slot)
}

// Captured is the last view of a node that was built, whatever has happened to the node since. It reads nothing that
// belongs to a scheduling cycle. It is nil for a node of which no view was ever asked.
func (c *Cache) Captured(name string) *View {
	if found, ok := c.nodes.Load(name); ok {
		return captured(found.(*slot))
	}
	return nil
}

// AllCaptured is the last view of every node of which one was built, in no order.
func (c *Cache) AllCaptured() []*View {
	var views []*View
	c.nodes.Range(func(_, node any) bool {
		if view := captured(node.(*slot)); view != nil {
			views = append(views, view)
		}
		return true
	})
	return views
}

func captured(node *slot) *View {
	if last := node.Load(); last != nil {
		return last.first
	}
	return nil
}

// Len is the number of nodes that the cache holds, those included that are gone from the cluster.
func (c *Cache) Len() int { return int(c.count.Load()) }

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
