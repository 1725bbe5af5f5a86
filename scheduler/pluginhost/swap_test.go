package pluginhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
)

// stored puts a sentence into the guest's memory.
func stored(at int, sentence string) (code wasmtest.Code) {
	for i := range len(sentence) {
		code = append(code, wasmtest.Store8(int32(at+i), int32(sentence[i]))...)
	}
	return code
}

// answering is a pure filter that rejects with this sentence.
func answering(sentence string) *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32, stored(2048, sentence),
		wasmtest.Const(2048), wasmtest.Const(int32(len(sentence))), host.StatusReason, wasmtest.Const(2)).Pure()
}

// saysConfig is a pure filter that rejects with its configuration as the reason.
func saysConfig() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32, wasmtest.Const(1024), wasmtest.Const(60000), host.Config, host.Answer(2)).Pure()
}

// swapping is a slot that follows its sources, and what is known of it from outside.
type swapping struct {
	*slot
	file     string
	recorder *events.FakeRecorder
	client   kubernetes.Interface
	awake    chan string // names of pods that were activated
	kinds    int         // of pods that ask made
}

type swapHandle struct {
	framework.Handle
	*swapping
}

func (h swapHandle) EventRecorder() events.EventRecorderLogger { return h.recorder }
func (h swapHandle) ClientSet() kubernetes.Interface           { return h.client }
func (h swapHandle) ProfileName() string                       { return "profile" }
func (h swapHandle) SharedInformerFactory() informers.SharedInformerFactory {
	factory := informers.NewSharedInformerFactory(h.client, 0)
	for _, scheduler := range []string{"profile", "another"} {
		pod := podOn("waits-for-"+scheduler, "")
		pod.Spec.SchedulerName = scheduler
		if err := factory.Core().V1().Pods().Informer().GetIndexer().Add(pod); err != nil {
			panic(err)
		}
	}
	return factory
}

func (h swapHandle) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	for _, pod := range pods {
		h.awake <- pod.Name
	}
}

func startSwapping(t *testing.T, guest *wasmtest.Module, args Args, objects ...*v1.ConfigMap) *swapping {
	t.Helper()
	args.AllowUnmetered = true
	return startBounded(t, guest, args, objects...)
}

// startBounded is startSwapping for modules that are held to all bounds.
func startBounded(t *testing.T, guest *wasmtest.Module, args Args, objects ...*v1.ConfigMap) *swapping {
	t.Helper()
	client := fake.NewSimpleClientset()
	for _, object := range objects {
		if err := client.Tracker().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	s := &swapping{
		file:     filepath.Join(t.TempDir(), "guest.wasm"),
		recorder: events.NewFakeRecorder(1000), client: client, awake: make(chan string, 1000),
	}
	if args.GuestURL == "" {
		s.replace(t, guest.Bytes())
		args.GuestURL = "file://" + s.file
	}
	handle := swapHandle{cluster(t, []*v1.Node{node("a"), node("trap")}), s}
	made, err := testHost(clock.RealClock{}, 1).newSlot(t.Context(), t.Name(), args, handle)
	if err != nil {
		t.Fatal(err)
	}
	s.slot = made
	t.Cleanup(func() { _ = made.Close() })
	return s
}

// replace puts a module in the file's place by a rename.
func (s *swapping) replace(t *testing.T, module []byte) {
	t.Helper()
	s.put(t, s.file, module)
}

func (s *swapping) put(t *testing.T, file string, module []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", module, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// ask runs a cycle of its own. About the node "trap" it asks with another kind of pod each time: a pod with which a module
// has failed is not asked about again at once.
func (s *swapping) ask(t *testing.T, on string) *framework.Status {
	t.Helper()
	pod := podOn("p", "")
	if on == "trap" {
		s.kinds++
		pod.Labels = map[string]string{"kind": fmt.Sprint(s.kinds)}
	}
	return filterWith(s.slot, pod, info(t, s.handle, on))
}

// refuses gives the slot a module that it must not take, and sees that an event says why and the old one stays.
func (s *swapping) refuses(t *testing.T, candidate []byte, why string) {
	t.Helper()
	s.replace(t, candidate)
	if event := s.event(t); !strings.Contains(event, "PluginRefused") || !strings.Contains(event, why) {
		t.Errorf("the event says %q, want %q in it", event, why)
	}
	if got := s.ask(t, "a").Message(); got != "old" {
		t.Errorf("after the refusal the answer is %q", got)
	}
}

// event waits for the next event about the slot.
func (s *swapping) event(t *testing.T) string {
	t.Helper()
	select {
	case event := <-s.recorder.Events:
		return event
	case <-givenUp(t):
		t.Fatal("there is no event")
		return ""
	}
}

func TestAModuleThatIsReplacedIsInForceForTheNextCycleAndNotForTheOneThatBegan(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	state, pod := upstream.NewCycleState(), podOn("p", "")
	inCycle := func() string {
		return s.Filter(context.Background(), state, pod, info(t, s.handle, "a")).Message()
	}
	if got := inCycle(); got != "old" {
		t.Fatalf("it says %q", got)
	}

	s.replace(t, answering("new").Bytes())

	if event := s.event(t); !strings.Contains(event, "PluginReplaced") {
		t.Errorf("the event says %q", event)
	}
	if next := s.ask(t, "a").Message(); next != "new" {
		t.Errorf("the next cycle is answered %q", next)
	}
	if got := inCycle(); got != "old" {
		t.Errorf("the cycle that had begun is now answered %q: it has two versions", got)
	}
	s.cycles.starting.Lock()
	defer s.cycles.starting.Unlock()
	if kept := len(s.cycles.outgoing); kept != 0 {
		t.Errorf("%d versions that no cycle begins with any more are not let go", kept)
	}
}

func TestAfterASwapTheRejectedPodsOfTheProfileAreTriedAgain(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.replace(t, answering("new").Bytes())
	if pod := <-s.awake; pod != "waits-for-profile" {
		t.Errorf("%s was activated", pod)
	}
}

func TestACandidateThatCannotBeUsedIsRefusedAndTheOldOneStays(t *testing.T) {
	impure := wasmtest.New()
	impure.Import("wasi_snapshot_preview1", "random_get", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32}, i32)
	sound := answering("new").Bytes()
	for want, candidate := range map[string][]byte{
		"or only a part of one":                     sound[:len(sound)/2],
		"self-test failed":                          wasmtest.New().Func("filter", i32, wasmtest.Trap).Bytes(),
		"other extension points":                    wasmtest.New().Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0)).Bytes(),
		"imports wasi_snapshot_preview1.random_get": impure.Func("filter", i32, wasmtest.Const(0)).Pure().Bytes(),
		"than the 16777216 that a mod":              make([]byte, 17<<20),
	} {
		t.Run(want, func(t *testing.T) {
			s := startSwapping(t, answering("old"), Args{})
			s.refuses(t, candidate, want)
			s.replace(t, sound)
			if event := s.event(t); !strings.Contains(event, "PluginReplaced") {
				t.Errorf("the next, sound candidate was not taken: %q", event)
			}
		})
	}
}

func TestWhatWasRefusedBeforeIsRefusedAtOnceWhenItIsThereAgain(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	bad := wasmtest.New().Func("filter", i32, wasmtest.Trap).Bytes()
	for range 2 {
		s.refuses(t, bad, "self-test failed")
		s.replace(t, answering("old").Bytes())
		s.reload(t.Context())
	}
	for range 2 {
		s.put(t, s.file+".shadow", bad)
		if event := s.event(t); !strings.Contains(event, "for the shadow: ") || !strings.Contains(event, "self-test failed") {
			t.Errorf("the event says %q", event)
		}
		if err := os.Remove(s.file + ".shadow"); err != nil {
			t.Fatal(err)
		}
		s.reload(t.Context())
	}
}

func TestAModuleThatTrapsAgainAndAgainIsRolledBackAndNotTakenAgain(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.replace(t, trapper().Bytes())
	s.event(t)
	for range 3 {
		if status := s.ask(t, "trap"); status.Code() != framework.Error {
			t.Fatalf("it answers %v, want the trap as an error", status)
		}
	}
	if event := s.event(t); !strings.Contains(event, "PluginReplaced") || !strings.Contains(event, "failed on 3 kinds of pods") {
		t.Errorf("the event says %q", event)
	}
	if got := s.ask(t, "trap").Message(); got != "old" {
		t.Errorf("after the rollback the answer is %q", got)
	}
	s.reload(t.Context())
	if got := s.ask(t, "a").Message(); got != "old" {
		t.Errorf("the module that was rolled back is in force again: %q", got)
	}
}

func configMap(name, revision, value string) *v1.ConfigMap {
	return &v1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "weir-system", Name: name, ResourceVersion: revision},
		Data:       map[string]string{"list": value},
	}
}

func TestAConfigMapIsTheConfigurationNowAndWhenItChangesAndWhileThereIsNoneTheArgsCount(t *testing.T) {
	s := startSwapping(t, saysConfig(), Args{GuestConfig: "from the args", GuestConfigMap: "weir-system/special-hardware"},
		configMap("special-hardware", "1", "first"))
	configs := s.client.CoreV1().ConfigMaps("weir-system")
	if got := s.ask(t, "a").Message(); got != "first" {
		t.Fatalf("the guest's configuration is %q", got)
	}
	s.synced(t)

	if _, err := configs.Update(t.Context(), configMap("special-hardware", "2", "second"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if got := s.ask(t, "a").Message(); got != "second" || s.report().ConfigRevision != "2" {
		t.Errorf("the guest's configuration is %q of revision %s", got, s.report().ConfigRevision)
	}

	if err := configs.Delete(t.Context(), "special-hardware", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if got := s.ask(t, "a").Message(); got != "from the args" {
		t.Errorf("without the ConfigMap the configuration is %q", got)
	}
}

func TestAModuleInAConfigMapIsFollowedToo(t *testing.T) {
	holder := configMap("plugins", "1", "")
	holder.BinaryData = map[string][]byte{"filter.wasm": answering("old").Bytes()}
	s := startSwapping(t, nil, Args{AllowUnmetered: true, GuestURL: "configmap://weir-system/plugins/filter.wasm"}, holder)
	if got := s.ask(t, "a").Message(); got != "old" {
		t.Fatalf("it says %q", got)
	}
	s.synced(t)

	changed := holder.DeepCopy()
	changed.BinaryData["filter.wasm"] = answering("new").Bytes()
	if _, err := s.client.CoreV1().ConfigMaps("weir-system").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if got := s.ask(t, "a").Message(); got != "new" {
		t.Errorf("it says %q", got)
	}
}

// synced waits until the ConfigMaps are watched: the fake client loses what happens before.
func (s *swapping) synced(t *testing.T) {
	t.Helper()
	client := s.client.(*fake.Clientset)
	for {
		for _, action := range client.Actions() {
			if action.GetVerb() == "watch" {
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nobody watches")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestTwoHundredSwapsUnderLoadGiveNoErrorAndNoCycleWithTwoVersions(t *testing.T) {
	const swaps = 200
	s := startSwapping(t, answering("version 0"), Args{})
	stop := s.load(t, func(answer string) bool { return strings.HasPrefix(answer, "version ") })
	for swap := range swaps {
		s.replace(t, answering(fmt.Sprintf("version %d", swap+1)).Bytes())
		if event := s.event(t); !strings.Contains(event, "PluginReplaced") {
			t.Errorf("swap %d: %s", swap, event)
		}
	}
	if got, want := s.ask(t, "a").Message(), fmt.Sprintf("version %d", swaps); got != want {
		t.Errorf("at the end it says %q, want %q", got, want)
	}
	stop(func(answer string) string { return versionOf(answering(answer), "") })
}

// Each version has compiled code and memory of its own.
func TestVersionsThatNothingHasAnyMoreAreFreed(t *testing.T) {
	s := startSwapping(t, answering("version 0"), Args{})
	for swap := range 20 {
		s.replace(t, answering(fmt.Sprintf("version %d", swap+1)).Bytes())
		s.event(t)
		s.ask(t, "a")
	}
	programs := func() int {
		s.host.programs.mu.Lock()
		defer s.host.programs.mu.Unlock()
		return len(s.host.programs.known)
	}
	s.until(t, func() bool {
		runtime.GC()
		return programs() <= 2 // the one in force, and the one before it
	})
}

// update puts a ConfigMap in the place of the one of its name.
func (s *swapping) update(t *testing.T, object *v1.ConfigMap) {
	t.Helper()
	if _, err := s.client.CoreV1().ConfigMaps(object.Namespace).Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
