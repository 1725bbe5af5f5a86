package guestview

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/load"
)

// View is one node as guests see it. It never changes, so it may be read from any goroutine at any time, unlike the
// NodeInfo that it was made from, which belongs to the scheduling cycle.
type View struct {
	// Info carries the guest's Node, because the extension asks its handle for a NodeInfo.
	Info *framework.NodeInfo

	// inline is the message of a trimmed Node behind two marks; empty for a whole one.
	inline string

	// ID is of what the view tells: of this view, and of those right before and after it that tell the same. Who remembers
	// something about a view remembers it by ID, which keeps no view alive that is not needed any more.
	ID uint64

	// generation is of the NodeInfo that the view was made from, first that of the first of the views in a row that tell
	// the same.
	generation, first int64

	// requested and pods are what the NodeInfo had.
	requested *framework.Resource
	pods      int

	// sample is the last sample when the view was made, told or not; expires is when it stops being told, zero if it is
	// not told.
	sample  *load.Sample
	expires time.Time
}

var lastID atomic.Uint64

// View builds the view of a node as it is in this NodeInfo, without load.
func (d Detail) View(info *framework.NodeInfo) *View {
	return d.view(info, d.shellOf(info.Node()), nil, time.Time{})
}

// view builds a view. The shell is that of the node's Node, nil if it is told whole.
func (d Detail) view(info *framework.NodeInfo, outside *shell, sample *load.Sample, now time.Time) *View {
	view := &View{Info: framework.NewNodeInfo(), ID: lastID.Add(1), generation: info.Generation, first: info.Generation, sample: sample}
	if d.tellsOfNodeAndRequests() {
		view.requested, view.pods = info.Requested.Clone(), len(info.Pods)
	}
	var fresh *load.Sample
	if sample != nil {
		if expires := sample.Expires(d.LoadFreshFor); now.Before(expires) {
			fresh, view.expires = sample, expires
		}
	}
	if d.Whole {
		view.Info.SetNode(d.Node(info, fresh))
		view.Info.ImageStates = info.ImageStates
	} else {
		view.pack(d, info, outside, fresh)
	}
	return view
}

// Marks in front of a message. No name of a node begins with one of them.
const (
	anotherPod = "\x01"
	inlineNode = "\x02"
)

// pack puts a Node's message into an annotation of a Node that has nothing else. The extension writes the Node down
// anew at each call and sorts all its labels for it, which takes longer than everything else in the call together.
func (v *View) pack(d Detail, info *framework.NodeInfo, outside *shell, fresh *load.Sample) {
	if outside == nil {
		v.Info.SetNode(d.Node(info, fresh)) // as it is, it takes only longer
		return
	}
	v.inline = string(outside.appendMessage([]byte(anotherPod+inlineNode), d.told(info, fresh)))
	annotations := map[string]string{Packed: v.inline[len(anotherPod+inlineNode):]}
	v.Info.SetNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: info.Node().Name, Annotations: annotations}})
}

// Inline is what a module that takes its node inline is told as the name of the node of a call: a mark if the pod is
// another one than that of the call before, a mark for what follows, and the message of the Node. It is the name where
// the view has no message. Both texts are parts of one, so that none is made for a call.
func (v *View) Inline(samePod bool) string {
	switch {
	case v.inline == "":
		return v.Info.Node().Name
	case samePod:
		return v.inline[len(anotherPod):]
	default:
		return v.inline
	}
}

// Told is the Node that the guest reads, unpacked; for tests and for whoever looks over a guest's shoulder.
func (v *View) Told() (*v1.Node, error) {
	message, isPacked := v.Info.Node().Annotations[Packed]
	if !isPacked {
		return v.Info.Node(), nil
	}
	told := &v1.Node{}
	return told, told.Unmarshal([]byte(message))
}

// Cache keeps the last view of each node, so that a view is built when what it tells changes and not at each call: when
// the node or its pods change, when a new sample of its load comes, and when the sample that it tells gets too old.
//
// A NodeInfo's Generation moves with every change of the node or of its pods and is never used twice, not even for
// another node; two NodeInfos of one Generation tell the same. The cache may be used from any goroutine.
type Cache struct {
	detail Detail
	loads  *load.Store
	clock  clock.PassiveClock
	nodes  sync.Map // of node name (string) to *known
	count  atomic.Int64
}

// known is what the cache has of one node.
type known = atomic.Pointer[pair]

// pair is the last two views of a node, the one used last first. There are two because Filter is called twice for a
// node that pods are nominated to, once as if they were there and once without them.
type pair struct {
	first, second *View

	// node is the Node that the first was made from, and shell a part of it. What a Node object has never changes.
	node  *v1.Node
	shell *shell
}

// stillTold says whether the first view tells the truth of a NodeInfo that is another than the one it was made from: its
// Generation moves also when a binding is confirmed, of which nothing is told.
func (p *pair) stillTold(d Detail, info *framework.NodeInfo) bool {
	if p.node != info.Node() || !d.tellsOfNodeAndRequests() {
		return false
	}
	return d.WithoutRequests || p.first.pods == len(info.Pods) && sameAmounts(p.first.requested, info.Requested)
}

// shellOf makes a shell only for a Node that is another.
func (p *pair) shellOf(d Detail, node *v1.Node) *shell {
	if p.node == node {
		return p.shell
	}
	return d.shellOf(node)
}

func sameAmounts(a, b *framework.Resource) bool {
	return a.MilliCPU == b.MilliCPU && a.Memory == b.Memory && a.EphemeralStorage == b.EphemeralStorage &&
		maps.Equal(a.ScalarResources, b.ScalarResources)
}

// tellsOfNodeAndRequests is not so of a load, which changes by itself, nor of a whole Node, which tells of the images on
// all nodes.
func (d Detail) tellsOfNodeAndRequests() bool { return d.LoadFreshFor == 0 && !d.Whole }

// NewCache makes an empty cache of views with this much detail. The clock says which samples are fresh; loads may be
// nil where the detail asks for no load.
func NewCache(detail Detail, loads *load.Store, clock clock.PassiveClock) *Cache {
	return &Cache{detail: detail, loads: loads, clock: clock}
}

// Key names what guests are told of a node, cheaply: two calls with the same key would get the same view. It is the
// NodeInfo's Generation, which moves with all that a view without load is made of; where load is told, it is the ID of
// the view, which then comes with it.
func (c *Cache) Key(info *framework.NodeInfo) (uint64, *View) {
	if c.detail.LoadFreshFor == 0 {
		return uint64(info.Generation), nil
	}
	view := c.Of(info)
	return view.ID, view
}

// FirstKey is the key under which guests were told the same of this node first: most changes of a NodeInfo (a heartbeat of
// its kubelet, a binding that is confirmed) are none of what a guest is told. It is for keys that come without a view.
func (c *Cache) FirstKey(info *framework.NodeInfo) uint64 {
	return uint64(c.Of(info).first)
}

// KeysOf are the keys of a node of which this view was told, as Key and as FirstKey give them.
func (c *Cache) KeysOf(info *framework.NodeInfo, told *View) (key, first uint64) {
	if c.detail.LoadFreshFor == 0 {
		return uint64(info.Generation), uint64(told.first)
	}
	return told.ID, told.ID
}

// Detail is how much of a Node the cache's views have.
func (c *Cache) Detail() Detail { return c.detail }

// Of is the view of a node as it is in this NodeInfo.
func (c *Cache) Of(info *framework.NodeInfo) *View {
	name := info.Node().Name
	node := c.node(name)
	var sample *load.Sample
	var now time.Time
	if c.detail.LoadFreshFor > 0 {
		sample, now = c.loads.Of(name), c.clock.Now()
	}
	last := node.Load()
	switch {
	case last == nil:
		last = &pair{}
	case last.first.holds(info.Generation, sample, now):
		return last.first
	case last.second != nil && last.second.holds(info.Generation, sample, now):
		node.Store(&pair{first: last.second, second: last.first, node: info.Node(), shell: last.shellOf(c.detail, info.Node())})
		return last.second
	case last.stillTold(c.detail, info):
		same := *last.first
		same.generation = info.Generation
		node.Store(&pair{first: &same, second: last.second, node: last.node, shell: last.shell})
		return &same
	}
	outside := last.shellOf(c.detail, info.Node())
	view := c.detail.view(info, outside, sample, now)
	for _, before := range []*View{last.first, last.second} {
		if before != nil && before.tellsLike(view) {
			view.Info, view.inline, view.ID, view.first = before.Info, before.inline, before.ID, before.first
			break
		}
	}
	node.Store(&pair{first: view, second: last.first, node: info.Node(), shell: outside})
	return view
}

// tellsLike compares packed views. Whole ones share their parts with the Node and are not written down for it.
func (v *View) tellsLike(other *View) bool {
	message, isPacked := v.Info.Node().Annotations[Packed]
	return isPacked && message == other.Info.Node().Annotations[Packed]
}

// holds says whether the view still tells the truth.
func (v *View) holds(generation int64, sample *load.Sample, now time.Time) bool {
	return v.generation == generation && v.sample == sample && (v.expires.IsZero() || now.Before(v.expires))
}

func (c *Cache) node(name string) *known {
	if found, ok := c.nodes.Load(name); ok {
		return found.(*known)
	}
	made, loaded := c.nodes.LoadOrStore(name, new(known))
	if !loaded {
		c.count.Add(1)
	}
	return made.(*known)
}

// Captured is the last view of a node that was built, whatever has happened to the node since. It reads nothing that
// belongs to a scheduling cycle. It is nil for a node of which no view was ever asked.
func (c *Cache) Captured(name string) *View {
	if found, ok := c.nodes.Load(name); ok {
		return captured(found.(*known))
	}
	return nil
}

// AllCaptured is the last view of every node of which one was built, in no order.
func (c *Cache) AllCaptured() []*View {
	var views []*View
	c.nodes.Range(func(_, node any) bool {
		if view := captured(node.(*known)); view != nil {
			views = append(views, view)
		}
		return true
	})
	return views
}

func captured(node *known) *View {
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
