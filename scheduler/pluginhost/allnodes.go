package pluginhost

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/pluginhost/memo"
)

// A filter that is not told what pods ask for says of a pod and a node the same as long as neither changes, whoever is
// placed, nominated or evicted meanwhile. Where the memo has its Success for every node of the cluster, each of a cycle's
// calls of Filter is known before the first of them; then PreFilter answers Skip, which is kube-scheduler's word for it,
// and none is made. That spares the calls, and what kube-scheduler does around each.

// nodeSetVersion numbers the states of the Nodes of a cluster: under one number there are the same Node objects, and a Node
// object never changes.
type nodeSetVersion struct {
	mu sync.Mutex

	// cycle is the one that asked last. The snapshot does not change in a cycle.
	cycle  framework.CycleState
	nodes  []*v1.Node
	number uint64
}

// of is the number of the state that a cycle sees. It holds on to the Nodes, so that no other gets the address of
// one that is gone.
func (c *nodeSetVersion) of(cycle framework.CycleState, infos []framework.NodeInfo) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cycle == cycle {
		return c.number
	}
	c.cycle = cycle
	same := len(c.nodes) == len(infos)
	for i := 0; same && i < len(infos); i++ {
		same = c.nodes[i] == infos[i].Node()
	}
	if same {
		return c.number
	}
	c.number++
	c.nodes = c.nodes[:0]
	for _, info := range infos {
		c.nodes = append(c.nodes, info.Node())
	}
	return c.number
}

// passesAllNodes says whether the module lets the cycle's pod pass on every node, by what it answered before. A cycle of
// which the shadow gets to see something is not answered here, for the shadow sees calls.
func (s *slot) passesAllNodes(c *cycle, infos []framework.NodeInfo) bool {
	v := c.version
	if c.row == nil || c.filter == nil || c.sampled != nil || !v.views.Detail().WithoutRequests || v.points.preFilterExtensions || len(infos) == 0 {
		return false
	}
	nodeSet, asked := s.host.nodeSet.of(c.state, infos), 0
	known := c.row.AllNodesPass.Load()
	if known == nil || known.NodeSet != nodeSet {
		if known, asked = s.allNodesPass(c, infos); known == nil {
			return false
		}
		known.NodeSet = nodeSet
		c.row.AllNodesPass.Store(known)
	}
	return known.Passes && s.recheckAllNodes(c, infos, asked)
}

// fewUnknown nodes are asked about at once, one after the other. More are left to kube-scheduler's parallel calls. Some it
// would never make: of a node that is full it knows so before it asks a plugin.
const fewUnknown = 32

// allNodesPass looks for an answer that is no Success, and says how many nodes it asked about. It is nil where it cannot say.
func (s *slot) allNodesPass(c *cycle, infos []framework.NodeInfo) (_ *memo.AllNodesPass, asked int) {
	var unknown []framework.NodeInfo
	for _, info := range infos {
		switch known := c.row.Filter().Find(c.nodes, info); {
		case known == nil && len(unknown) == fewUnknown:
			return nil, 0
		case known == nil:
			unknown = append(unknown, info)
		case known.Code != framework.Success:
			return &memo.AllNodesPass{}, 0
		}
	}
	for _, info := range unknown {
		switch status := s.filterAnew(c, info); {
		case status.Code() == framework.Error:
			return nil, 0 // the call of Filter will say so
		case !status.IsSuccess():
			return &memo.AllNodesPass{}, 0
		}
		if c.row.Filter().Find(c.nodes, info) == nil {
			return nil, 0 // it looked at another node
		}
	}
	return &memo.AllNodesPass{Passes: true}, len(unknown)
}

// recheckAllNodes counts one remembered answer for each node that was not asked about, and asks the module again for
// those whose turn it is.
func (s *slot) recheckAllNodes(c *cycle, infos []framework.NodeInfo, asked int) bool {
	count := uint64(len(infos) - asked)
	upTo := c.filter.rememberedMany(framework.Success, count)
	one := s.host.recheckOneIn
	if one == 0 {
		return true
	}
	for nth := (upTo-count)/one*one + one; nth <= upTo; nth += one {
		c.filter.again(framework.Success)
		if !s.filterAnew(c, infos[nth-(upTo-count)-1]).IsSuccess() {
			return false // the calls of Filter will say so
		}
	}
	return !c.version.memo.Off()
}
