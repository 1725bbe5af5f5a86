package pluginhost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
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

// The unmodified extension is the measure of our host: calls are recorded, and tests/extension/cmd/replay makes the same
// calls in it. What the two answer is the same, but for what is listed in sameAs.

// record and reply are Record and Answer of tests/extension/cmd/replay.
type record struct {
	Module, Settings, Point string
	Pod, Target             []byte
	Nodes                   [][]byte
	Node                    string
	Images                  []string
	Codes                   map[string]int
	Scores                  map[string]int64
	Waiting                 map[string][]byte
}

type reply struct {
	Code      int
	Reason    text
	Trapped   bool
	Score     int64
	Events    []string
	NodeNames []string
	Nominated *string
	WaitMs    int64
	Scores    map[string]int64
	Recorded  []string
	Rejected  []string
}

// text may hold any bytes, so it travels as bytes.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(from []byte) error {
	var bytes []byte
	err := json.Unmarshal(from, &bytes)
	*t = text(bytes)
	return err
}

// recordedCall is a call with what our host answered to it.
type recordedCall struct {
	record record
	ours   reply

	// echo is what the module answers with: the message of such an object; nil where it answers with text. Kubernetes 1.32
	// and 1.37 write down objects differently, so they are compared as they are read.
	echo func() message
}

// message is an object of the API.
type message interface{ Unmarshal([]byte) error }

// read is the object in a reason, as JSON.
func (c *recordedCall) read(reason text) text {
	if c.echo == nil {
		return reason
	}
	object := c.echo()
	if err := object.Unmarshal([]byte(reason)); err != nil {
		return text(fmt.Sprintf("%v: %q", err, reason))
	}
	written, err := json.Marshal(object)
	if err != nil {
		return text(err.Error())
	}
	return text(written)
}

func TestOurHostAnswersAsTheUnmodifiedExtensionDoes(t *testing.T) {
	recorded := recordings(t, healthy)
	const fewest = 2000
	if len(recorded) < fewest {
		t.Fatalf("%d calls are recorded, want %d", len(recorded), fewest)
	}
	theirs := replayed(t, recorded)
	differences, shown := 0, map[[2]string]bool{}
	for i, each := range recorded {
		if why := each.differsFrom(theirs[i]); why != "" {
			differences++
			if kind := [2]string{each.record.Point + filepath.Base(each.record.Module), why}; !shown[kind] {
				shown[kind] = true // one of each kind says enough
				t.Errorf("call %d, %s of %s: %s\nours   %s %+v\ntheirs %s %+v", i, each.record.Point, filepath.Base(each.record.Module), why,
					each.read(each.ours.Reason), each.ours, each.read(theirs[i].Reason), theirs[i])
			}
		}
	}
	t.Logf("%d calls, %d different; by point %v, by code %v", len(recorded), differences, pointsIn(recorded), codesIn(theirs))
	for code := range framework.Pending + 1 {
		if codesIn(theirs)[code.String()] == 0 {
			t.Errorf("no call is answered %s: the comparison shows less than it says", code)
		}
	}
}

func TestFaultsInTheHostAreFoundByTheComparison(t *testing.T) {
	sound := recordings(t, healthy)
	theirs := replayed(t, sound)
	for name, planted := range map[string]hostFault{
		"the pod of the call before is told": {stalePod: true},
		"a reason loses its last byte":       {shortReason: true},
		"a score stands in the other half":   {swappedHalves: true},
	} {
		found := 0
		for i, each := range recordings(t, planted) {
			if each.differsFrom(theirs[i]) != "" {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s, and no call shows it", name)
		}
		t.Logf("%s: %d of %d calls show it", name, found, len(sound))
	}
}

// hostFault is a mistake that is made on purpose.
type hostFault struct{ stalePod, shortReason, swappedHalves bool }

var healthy = hostFault{}

// differsFrom says what is different in the extension's answer; empty if nothing is.
func (c *recordedCall) differsFrom(theirs reply) string {
	ours := c.ours
	ours.Reason, theirs.Reason = c.read(ours.Reason), c.read(theirs.Reason)
	return sameAs(c.record.Point, ours, theirs)
}

// sameAs says what is different; empty if nothing is. On purpose our host answers Error where a module gives an answer that
// its point does not have, of which kube-scheduler would make an error of every pod, and leaves the reason of a success out,
// which kube-scheduler does not read.
func sameAs(point string, ours, theirs reply) string {
	at := guest.Points()[slices.IndexFunc(guest.Points(), func(p guest.Point) bool { return p.Export() == point })]
	if !slices.Contains(allowedCodes[at], framework.Code(theirs.Code)) || at == guest.Score && (theirs.Score < 0 || theirs.Score > framework.MaxScore) {
		if ours.Code != int(framework.Error) {
			return "an answer that the point does not have is let through"
		}
		return ""
	}
	switch {
	case ours.Code != theirs.Code || ours.Trapped != theirs.Trapped:
		return "the code"
	case !theirs.Trapped && theirs.Code != int(framework.Success) && !strings.HasSuffix(string(ours.Reason), string(theirs.Reason)):
		return "the reason"
	case ours.Score != theirs.Score:
		return "the score"
	case !slices.Equal(ours.Events, theirs.Events):
		return "the events"
	case !slices.Equal(ours.NodeNames, theirs.NodeNames) || !reflect.DeepEqual(ours.Nominated, theirs.Nominated):
		return "the nodes"
	case ours.WaitMs != theirs.WaitMs || !maps.Equal(ours.Scores, theirs.Scores):
		return "the time to wait, or the scores"
	case !slices.Equal(ours.Recorded, theirs.Recorded) || !slices.Equal(ours.Rejected, theirs.Rejected):
		return "what it did beside answering"
	}
	return ""
}

func pointsIn(recorded []recordedCall) map[string]int {
	counts := map[string]int{}
	for _, each := range recorded {
		counts[each.record.Point]++
	}
	return counts
}

func codesIn(replies []reply) map[string]int {
	counts := map[string]int{}
	for _, each := range replies {
		counts[framework.Code(each.Code).String()]++
	}
	return counts
}

// replayed are the extension's answers. WEIR_REPLAY names a replay that is built already.
func replayed(t *testing.T, recorded []recordedCall) []reply {
	t.Helper()
	program := os.Getenv("WEIR_REPLAY")
	if program == "" {
		program = filepath.Join(t.TempDir(), "replay")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/replay")
		build.Dir = filepath.Join("..", "..", "tests", "extension")
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the peer: %v\n%s", err, said)
		}
	}
	var calls, complaints bytes.Buffer
	lines := json.NewEncoder(&calls)
	for _, each := range recorded {
		if err := lines.Encode(each.record); err != nil {
			t.Fatal(err)
		}
	}
	replay := exec.Command(program)
	replay.Stdin, replay.Stderr = &calls, &complaints
	out, err := replay.Output()
	if err != nil {
		said := complaints.String()
		t.Fatalf("the peer ended with %v: %s", err, said[max(0, len(said)-2000):])
	}
	var replies []reply
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var each reply
		if err := json.Unmarshal(scanner.Bytes(), &each); err != nil {
			t.Fatal(err)
		}
		slices.Sort(each.Events)
		replies = append(replies, each)
	}
	if len(replies) != len(recorded) {
		t.Fatalf("%d answers to %d calls", len(replies), len(recorded))
	}
	return replies
}

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
