package slot

import (
	"context"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// A filter that is not told what pods ask for says of a pod and a node the same as long as neither changes, whoever is
// placed, nominated or evicted meanwhile. Where the memo has its Success for every node of the cluster, each of a cycle's
// calls of Filter is known before the first of them; then PreFilter answers Skip, which is kube-scheduler's word for it,
// and none is made. That spares the calls, and what kube-scheduler does around each.

// everywhere is whether a kind of pod passes on every node, as of one state of the Nodes.
type everywhere struct {
	census uint64
	passes bool
}

// census numbers the states of the Nodes of a cluster: under one number there are the same Node objects, and a Node
// object never changes.
type census struct {
	mu sync.Mutex

	// cycle is the one that asked last. The snapshot does not change in a cycle.
	cycle  *framework.CycleState
	nodes  []*v1.Node
	number uint64
}

// of is the number of the state that a cycle sees. The census holds on to the Nodes, so that no other gets the address of
// one that is gone.
func (c *census) of(cycle *framework.CycleState, infos []*framework.NodeInfo) uint64 {
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

// passesEverywhere says whether the module lets the cycle's pod pass on every node, by what it answered before. A cycle of
// which the shadow gets to see something is not answered here, for the shadow sees calls.
func (s *slot) passesEverywhere(ctx context.Context, c *cycle, state *framework.CycleState) bool {
	v := c.version
	if c.row == nil || c.filter == nil || c.sampled != nil || !v.views.Detail().WithoutRequests || v.points.preFilterExtensions {
		return false
	}
	infos, err := s.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil || len(infos) == 0 {
		return false
	}
	census := s.host.census.of(state, infos)
	known := c.row.everywhere.Load()
	if known == nil || known.census != census {
		passes, complete := v.everywhere(c.row, infos)
		if !complete {
			return false
		}
		known = &everywhere{census: census, passes: passes}
		c.row.everywhere.Store(known)
	}
	return known.passes && s.recheckEverywhere(ctx, c, state, infos)
}

// everywhere looks for an answer that is no Success, or is not remembered.
func (v *version) everywhere(row *row, infos []*framework.NodeInfo) (passes, complete bool) {
	for _, info := range infos {
		key, _ := v.views.Key(info)
		number, ok := row.filter.get(key)
		if !ok {
			number, ok = row.filter.get(v.views.FirstKey(info))
		}
		if !ok {
			return false, false
		}
		if v.memo.verdicts.get(number).code != framework.Success {
			return false, true
		}
	}
	return true, true
}

// recheckEverywhere counts one remembered answer for each node, and asks the module again for those whose turn it is.
func (s *slot) recheckEverywhere(ctx context.Context, c *cycle, state *framework.CycleState, infos []*framework.NodeInfo) bool {
	count := uint64(len(infos))
	upTo := c.filter.rememberedMany(framework.Success, count)
	one := s.host.recheckOneIn
	if one == 0 {
		return true
	}
	for nth := (upTo-count)/one*one + one; nth <= upTo; nth += one {
		c.filter.again(framework.Success)
		key, view := c.version.views.Key(infos[nth-(upTo-count)-1])
		if !s.filterAnew(ctx, c, state, infos[nth-(upTo-count)-1], key, view).IsSuccess() {
			return false // the calls of Filter will say so
		}
	}
	return !c.version.memo.off.Load()
}
