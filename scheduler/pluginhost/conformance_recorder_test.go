package pluginhost

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/module"
)

// recorder makes calls in our host and notes them.
type recorder struct {
	t      *testing.T
	fault  hostFault
	loaded map[[2]string]*version
	all    []recordedCall
	handle *recordedHandle

	// viewed is the pod of the call before as the module is told of it: kube-scheduler calls several points about one pod.
	viewed *podView
}

// given is a call as a test describes it.
type given struct {
	module, settings string
	at               guest.Point
	pod, target      *v1.Pod
	nodes            []*upstream.NodeInfo
	node             string
	images           []string
	codes            map[string]int
	scores           map[string]int64
	waiting          map[string]*v1.Pod
	echo             func() message
}

func (r *recorder) version(call *given) *version {
	key := [2]string{call.module, call.settings}
	if found, ok := r.loaded[key]; ok {
		return found
	}
	url := "file://" + call.module
	read, err := module.ReadFile(r.t.Context(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	host := testHost(clock.RealClock{}, 1)
	host.withoutSelfTest = true
	args := Args{AllowUnmetered: true, GuestURL: url, SideEffects: []string{effectEvents, effectWaitingPods}}
	made, err := host.newVersion(r.t.Context(), "replay", args, spec{module: read, config: call.settings}, r.handle)
	if err != nil {
		r.t.Fatal(err)
	}
	r.loaded[key] = made
	return made
}

// make makes a call in our host and notes it with what was told in it.
func (r *recorder) make(call given) {
	r.handle.begin(&call)
	v := r.version(&call)
	noted := record{
		Module: call.module, Settings: call.settings, Point: call.at.Export(), Node: call.node, Images: call.images,
		Codes: call.codes, Scores: call.scores, Waiting: map[string][]byte{},
	}
	if call.pod != nil {
		noted.Pod = []byte(r.view(v, call.pod).message)
	}
	if call.target != nil {
		noted.Target = []byte(written(call.target, call.target))
	}
	for _, node := range call.nodes {
		noted.Nodes = append(noted.Nodes, []byte(v.views.Detail().View(node).Message()))
	}
	for name, pod := range call.waiting {
		noted.Waiting[name] = []byte(written(pod, pod))
	}
	ours := r.ask(v, &call)
	ours.Recorded, ours.Rejected = r.handle.recorded, r.handle.rejected
	slices.Sort(ours.Events)
	if r.fault.shortReason && len(ours.Reason) > 0 {
		ours.Reason = ours.Reason[:len(ours.Reason)-1]
	}
	r.all = append(r.all, recordedCall{noted, ours, call.echo})
}

func (r *recorder) view(v *version, pod *v1.Pod) *podView {
	if r.viewed == nil || r.viewed.of != pod {
		r.viewed = v.viewed(pod)
	}
	return r.viewed
}

func (r *recorder) ask(v *version, call *given) (ours reply) {
	scope := callScope{snapshot: r.handle, views: v.views.ByContent()}
	for _, node := range call.nodes {
		if node.Node().Name == call.node {
			scope = scope.about(v.views.ByContent().Of(node))
		}
	}
	pod := nobody
	if call.pod != nil {
		pod = r.view(v, call.pod)
	}
	if r.fault.stalePod && r.handle.before != nil {
		pod = v.viewed(r.handle.before)
	}
	r.handle.before = call.pod
	traps := v.trapCount()
	answer, status, _ := v.call(call.at, scope, pod, func(asked *guest.Call) {
		if asked.NodeName == "" {
			asked.NodeName = call.node
		}
		if call.target != nil {
			asked.Target = written(call.target, call.target)
		}
		asked.Filtered = func() []string { return namesOf(call.nodes) }
		asked.Codes = func() map[string]int32 { return (&slot{handle: r.handle}).codes(upstreamCodes(call.codes)) }
		asked.Scores = func() map[string]int64 { return call.scores }
	})
	if r.fault.swappedHalves && call.at == guest.Score {
		answer.Value = answer.Value<<32 | answer.Value>>32
	}
	ours.Code, ours.Reason, ours.Trapped = int(status.Code()), text(status.Message()), v.trapCount() > traps
	return take(r.t, call, answer, status, ours)
}

// take reads what else a point answers.
func take(t *testing.T, call *given, answer guest.Answer, status *framework.Status, ours reply) reply {
	switch call.at {
	case guest.Enqueue:
		for _, each := range answer.Events {
			translated, err := clusterEvents([]guest.ClusterEvent{each})
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range translated {
				ours.Events = append(ours.Events, string(event.Event.Resource)+"/"+strconv.FormatInt(int64(each.Action), 10))
			}
		}
	case guest.PreFilter:
		ours.NodeNames = slices.Sorted(slices.Values(answer.NodeNames))
	case guest.PostFilter:
		if answer.High() == 1 && status.Code() != framework.Error {
			ours.Nominated = &answer.Nominated
		}
	case guest.Score:
		if status.IsSuccess() {
			ours.Score = int64(answer.High())
		}
	case guest.NormalizeScore:
		ours.Scores = answer.Scores
	case guest.Permit:
		ours.WaitMs = int64(uint32(answer.Code()))
	}
	return ours
}

func (v *version) trapCount() (count uint64) {
	for _, each := range v.metrics {
		count += each.traps.Load()
	}
	return count
}

func upstreamCodes(codes map[string]int) framework.NodeToStatusReader {
	statuses := upstream.NewDefaultNodeToStatus()
	for node, code := range codes {
		statuses.Set(node, framework.NewStatus(framework.Code(code)))
	}
	return statuses
}

func namesOf(nodes []*upstream.NodeInfo) []string {
	names := []string{}
	for _, node := range nodes {
		names = append(names, node.Node().Name)
	}
	return names
}

// recordedHandle is the scheduler as a call has it.
type recordedHandle struct {
	framework.Handle
	nodes              []*upstream.NodeInfo
	waiting            map[string]*v1.Pod
	recorded, rejected []string

	// before is the pod of the call before.
	before *v1.Pod
}

func (h *recordedHandle) begin(call *given) {
	h.nodes, h.waiting, h.recorded, h.rejected = call.nodes, call.waiting, nil, nil
	for _, node := range call.nodes {
		for _, image := range call.images {
			node.ImageStates[image] = &framework.ImageStateSummary{Size: int64(len(image)), NumNodes: len(call.nodes)}
		}
	}
}

func (h *recordedHandle) SnapshotSharedLister() framework.SharedLister {
	return recordedSnapshot{nil, h}
}

type recordedSnapshot struct {
	framework.SharedLister
	of *recordedHandle
}

func (s recordedSnapshot) NodeInfos() framework.NodeInfoLister { return s.of }

func (h *recordedHandle) List() ([]framework.NodeInfo, error) {
	infos := make([]framework.NodeInfo, 0, len(h.nodes))
	for _, node := range h.nodes {
		infos = append(infos, node)
	}
	return infos, nil
}

func (h *recordedHandle) Get(name string) (framework.NodeInfo, error) {
	for _, node := range h.nodes {
		if node.Node().Name == name {
			return node, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q", name)
}

func (h *recordedHandle) HavePodsWithAffinityList() ([]framework.NodeInfo, error) { return nil, nil }
func (h *recordedHandle) HavePodsWithRequiredAntiAffinityList() ([]framework.NodeInfo, error) {
	return nil, nil
}
func (h *recordedHandle) HavePodsWithRequiredNonHostScopedAntiAffinityList() ([]framework.NodeInfo, error) {
	return nil, nil
}

func (h *recordedHandle) EventRecorder() events.EventRecorderLogger { return recordedEvents{h} }

type recordedEvents struct{ of *recordedHandle }

func (r recordedEvents) WithLogger(klog.Logger) events.EventRecorderLogger { return r }

// Eventf keeps the note as a module hands it over: percent signs are doubled in it.
func (r recordedEvents) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, args ...any) {
	about := regarding.(*v1.ObjectReference)
	said := strings.ReplaceAll(fmt.Sprintf(note, args...), "%", "%%")
	r.of.recorded = append(r.of.recorded, fmt.Sprintf("%s %s/%s %s %s %s: %s", about.Kind, about.Namespace, about.Name, kind, reason, action, said))
}

func (h *recordedHandle) GetWaitingPod(name types.UID) framework.WaitingPod {
	if pod, ok := h.waiting[string(name)]; ok {
		return recordedWaiting{pod: pod}
	}
	return nil
}

func (h *recordedHandle) RejectWaitingPod(name types.UID) bool {
	_, ok := h.waiting[string(name)]
	if ok {
		h.rejected = append(h.rejected, string(name))
	}
	return ok
}

type recordedWaiting struct {
	framework.WaitingPod
	pod *v1.Pod
}

func (w recordedWaiting) GetPod() *v1.Pod { return w.pod }
