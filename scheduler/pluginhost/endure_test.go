package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
	"weir.dev/scheduler/module"
)

// saysBoth is a pure filter that rejects with its own sentence and its configuration as the reason.
func saysBoth(sentence string) *wasmtest.Module {
	m, host := wasmtest.WithHost()
	length := wasmtest.Const(int32(len(sentence)))
	return m.Func("filter", i32, stored(1024, sentence),
		wasmtest.Const(int32(1024+len(sentence))), wasmtest.Const(60000), host.Config, length, wasmtest.Add, host.Answer(2)).Pure()
}

// load runs one cycle after the other, as a scheduler does, each with parallel calls, until the test has seen enough. In
// no cycle may two calls be answered by two versions. Who stops it says which version gives which answer, and each cycle
// must have said that it was placed by the one whose answers it got.
func (s *swapping) load(t *testing.T, wellFormed func(answer string) bool) (stop func(version func(answer string) string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	placedBy := map[[2]string]int{} // answer and version
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for cycle := 0; ctx.Err() == nil; cycle++ {
			state, pod := upstream.NewCycleState(), podOn("p", "", "cpu", fmt.Sprint(1+cycle%5))
			var answers [4]string
			var calls sync.WaitGroup
			for i := range answers {
				calls.Add(1)
				go func() {
					defer calls.Done()
					answers[i] = s.Filter(context.Background(), state, pod, info(t, s.handle, "a")).Message()
				}()
			}
			calls.Wait()
			for _, answer := range answers {
				if answer != answers[0] || !wellFormed(answer) {
					t.Errorf("cycle %d was answered %q", cycle, answers)
				}
			}
			placedBy[[2]string{answers[0], s.host.PlacedBy(state)[s.name]}]++
		}
	}()
	return func(version func(answer string) string) {
		cancel()
		running.Wait()
		for cycle, count := range placedBy {
			if answer, said := cycle[0], cycle[1]; wellFormed(answer) && version(answer) != said {
				t.Errorf("%d cycles got the answer %q of version %q and say that they were placed by %q", count, answer, version(answer), said)
			}
		}
		if len(placedBy) < 2 {
			t.Errorf("all cycles had one version: %v", placedBy)
		}
	}
}

// versionOf is how a version of this module is named that has these settings.
func versionOf(guest *wasmtest.Module, settings string) string {
	return spec{module: &module.Module{Digest: module.DigestOf(guest.Bytes())}, config: settings}.name()
}

// refusals is how many candidates were refused.
func (s *swapping) refusals(t *testing.T) float64 {
	t.Helper()
	count, err := testutil.GetCounterMetricValue(swapsTotal.WithLabelValues(s.name, swapRefused))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Modules, sound and broken ones, settings and candidates for the shadow change in a random order while pods are
// scheduled. What is in force in the end is the last sound module with the last settings.
func TestModulesSettingsAndCandidatesThatChangeUnderLoadGiveNoErrorAndNoCycleWithTwoVersions(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 14))
	s := startSwapping(t, saysBoth("module 0, "), Args{GuestConfigMap: "weir-system/list"}, configMap("list", "0", "settings 0"))
	s.synced(t)
	stop := s.load(t, func(answer string) bool {
		return strings.HasPrefix(answer, "module ") && strings.Contains(answer, ", settings ")
	})
	sound, settings := 0, 0
	for step := range 200 {
		switch random.IntN(4) {
		case 0:
			settings = step + 1
			s.update(t, configMap("list", fmt.Sprint(settings), fmt.Sprintf("settings %d", settings)))
		case 1:
			// It is news unless it was there already. New settings may be in force a moment later.
			before := s.refusals(t)
			s.replace(t, []byte("no module"))
			s.until(t, func() bool {
				last := s.report().LastSwap
				return s.refusals(t) > before || last != nil && last.Result == swapRefused
			})
		case 2:
			s.put(t, s.file+".shadow", saysBoth(fmt.Sprintf("candidate %d, ", step)).Bytes())
		}
		if random.IntN(2) == 0 || step == 199 {
			sound = step + 1
			s.replace(t, saysBoth(fmt.Sprintf("module %d, ", sound)).Bytes())
			want := fmt.Sprintf("module %d, settings %d", sound, settings)
			s.until(t, func() bool { return s.ask(t, "a").Message() == want })
		}
	}
	stop(func(answer string) string {
		settings := answer[strings.Index(answer, "settings "):]
		return versionOf(saysBoth(strings.TrimSuffix(answer, settings)), settings)
	})
	s.until(t, func() bool { return s.report().ConfigRevision == fmt.Sprint(settings) })
}

// Every replica follows the sources, whether it leads or not. Whoever leads next has in force what the sources have, and
// the cycles of the one that led end with the version that they began with.
func TestALeaderThatChangesDuringASwapFindsTheNewVersionInForce(t *testing.T) {
	first := startSwapping(t, answering("old"), Args{})
	second := startSwapping(t, nil, Args{GuestURL: "file://" + first.file})
	state, pod := upstream.NewCycleState(), podOn("p", "")
	began := first.Filter(context.Background(), state, pod, info(t, first.handle, "a")).Message()

	first.replace(t, answering("new").Bytes())
	second.event(t)

	if got := second.ask(t, "a").Message(); got != "new" {
		t.Errorf("the next leader answers %q", got)
	}
	if ended := first.Filter(context.Background(), state, pod, info(t, first.handle, "a")).Message(); began != "old" || ended != "old" {
		t.Errorf("the cycle of the leader before began with %q and ended with %q", began, ended)
	}
}

// apiServer is an API server with one ConfigMap, which a test can take away and bring back.
type apiServer struct {
	*httptest.Server
	mu      sync.Mutex
	holder  *v1.ConfigMap
	away    bool
	watches map[chan struct{}]bool
}

func serveAPI(t *testing.T, holder *v1.ConfigMap) *apiServer {
	t.Helper()
	a := &apiServer{holder: holder, watches: map[chan struct{}]bool{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() { a.set(nil, true); a.Close() })
	return a
}

// set changes the ConfigMap, if there is a new one, and whether the API server is there. All watches end.
func (a *apiServer) set(holder *v1.ConfigMap, away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
	if holder != nil {
		a.holder = holder
	}
	for ended := range a.watches {
		close(ended)
		delete(a.watches, ended)
	}
}

func (a *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	away, holder, ended := a.away, a.holder, make(chan struct{})
	watches := r.URL.Query().Get("watch") != ""
	if watches && !away {
		a.watches[ended] = true
	}
	a.mu.Unlock()
	if away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") != "" { // a list that is streamed; then the client lists and watches
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
		})
		return
	}
	if watches {
		w.(http.Flusher).Flush()
		select {
		case <-ended:
		case <-r.Context().Done():
		}
		return
	}
	object := *holder
	object.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	if strings.HasSuffix(r.URL.Path, "/"+holder.Name) {
		_ = json.NewEncoder(w).Encode(object)
		return
	}
	_ = json.NewEncoder(w).Encode(v1.ConfigMapList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"},
		ListMeta: metav1.ListMeta{ResourceVersion: holder.ResourceVersion}, Items: []v1.ConfigMap{object},
	})
}

func TestWhileTheAPIServerIsAwayTheLastVersionDecidesAndAfterwardsTheNewOne(t *testing.T) {
	server := serveAPI(t, configMap("list", "1", "settings 1"))
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := &swapping{file: t.TempDir() + "/guest.wasm", recorder: events.NewFakeRecorder(1000), client: client, awake: make(chan string, 1000)}
	s.replace(t, saysBoth("module 1, ").Bytes())
	args := Args{AllowUnmetered: true, GuestURL: "file://" + s.file, GuestConfigMap: "weir-system/list"}
	s.slot, err = testHost(clock.RealClock{}, 1).newSlot(t.Context(), t.Name(), args, swapHandle{cluster(t, []*v1.Node{node("a")}), s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.until(t, func() bool {
		return s.sources.configMaps.Following(types.NamespacedName{Namespace: "weir-system", Name: "list"})
	})

	server.set(nil, true)
	s.replace(t, saysBoth("module 2, ").Bytes())
	s.until(t, func() bool { return s.ask(t, "a").Message() == "module 2, settings 1" })
	if row := s.report(); row.ConfigRevision != "1" || row.LastSwap.Result != swapInForce {
		t.Errorf("while it is away the report says revision %q, %+v", row.ConfigRevision, row.LastSwap)
	}

	server.set(configMap("list", "2", "settings 2"), false)
	s.until(t, func() bool { return s.ask(t, "a").Message() == "module 2, settings 2" })
	s.until(t, func() bool { return s.report().ConfigRevision == "2" })
}

// keptIn gives a test a folder of its own for last good versions.
func keptIn(t *testing.T) {
	t.Helper()
	t.Setenv(StateVariable, t.TempDir())
}

func TestASchedulerThatStartsWhileTheNewestModuleIsBrokenStartsWithTheLastGoodOne(t *testing.T) {
	keptIn(t)
	s := startSwapping(t, answering("good"), Args{})
	s.until(t, func() bool { _, err := s.swaps.keeper.get(t.Context(), s.sources); return err == nil })
	s.put(t, s.file, []byte("no module"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for what, broken := range map[string]func(){
		"broken": func() {},
		"away":   func() { _ = os.Remove(s.file) },
	} {
		broken()
		again := startSwapping(t, nil, Args{GuestURL: "file://" + s.file})
		if got := again.ask(t, "a").Message(); got != "good" {
			t.Errorf("with a module that is %s it answers %q", what, got)
		}
	}
}

func TestAVersionThatWasChangedWhereItIsKeptIsNotStartedWith(t *testing.T) {
	keptIn(t)
	s := startSwapping(t, answering("good"), Args{})
	s.until(t, func() bool { _, err := s.swaps.keeper.get(t.Context(), s.sources); return err == nil })
	s.put(t, filepath.Join(s.swaps.keeper.folder, keptModule), answering("forged").Bytes())
	s.put(t, s.file, []byte("no module"))
	if _, err := testHost(clock.RealClock{}, 1).newSlot(t.Context(), t.Name(), s.args, s.handle); err == nil {
		t.Error("it starts")
	}
}

func TestAPluginThatDecidesNothingDoesNotKeepTheSchedulerFromStarting(t *testing.T) {
	keptIn(t)
	plugin, err := testHost(clock.RealClock{}, 1).New(t.Context(), "Test", Args{GuestURL: "file:///nowhere/x.wasm", Mode: ModeShadow}, cluster(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, status := plugin.(framework.PreFilterPlugin).PreFilter(t.Context(), upstream.NewCycleState(), podOn("p", ""), nil); !status.IsSkip() {
		t.Errorf("it answers %v", status)
	}
}
