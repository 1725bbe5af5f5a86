package pluginhost

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
)

func TestBadInputIsRefusedWithItsNameAndWhatToDo(t *testing.T) {
	i32 := []wasmtest.ValueType{wasmtest.I32}
	i64 := []wasmtest.ValueType{wasmtest.I64}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return `{"allowUnmetered":true,"guestURL":"file://` + path + `"}`
	}
	sound := wasmtest.NodeEcho().Bytes()
	for name, test := range map[string]struct{ args, want string }{
		"no guestURL":                 {`{}`, "args.guestURL is required"},
		"an unknown key":              {`{"guestURL":"file:///x","guestUrl":"y"}`, `unknown field "guestUrl"`},
		"a key twice":                 {`{"guestURL":"file:///x","guestURL":"y"}`, `duplicate field "guestURL"`},
		"a value of the wrong type":   {`{"guestURL":7}`, "guestURL"},
		"a severity that is none":     {`{"guestURL":"file:///x","logSeverity":9}`, "args.logSeverity is 9"},
		"one of the host's own keys":  {`{"guestURL":"file:///x","nodeAnnotations":["node.weir.dev/a"]}`, "args.nodeAnnotations"},
		"an unsafe point that is not": {`{"guestURL":"file:///x","unsafePoints":["filter"]}`, "args.unsafePoints"},
		"a load of nobody": {`{"guestURL":"file:///x","loadFreshFor":"3m","withoutRequests":true}`,
			"args.withoutRequests and args.loadFreshFor"},
		"another scheme":           {`{"guestURL":"ftp://x/y"}`, `"ftp://x/y"`},
		"a missing file":           {`{"guestURL":"file:///nowhere/x.wasm"}`, "/nowhere/x.wasm"},
		"a truncated file":         {file("truncated.wasm", sound[:len(sound)-10]), "truncated.wasm is not a WebAssembly module, or only a part of one"},
		"an empty file":            {file("empty.wasm", nil), "empty.wasm"},
		"a file of something else": {file("text.wasm", []byte("hello")), "text.wasm"},
		"no extension point": {file("none.wasm", wasmtest.New().Func("main", nil).Bytes()),
			"none of prefilter, filter, score (it exports main)"},
		"prescore without score": {file("prescore.wasm", wasmtest.New().Func("prescore", i32, wasmtest.Const(0)).Bytes()),
			"prescore without score"},
		"normalizescore without score": {file("normalize.wasm", wasmtest.New().
			Func("filter", i32, wasmtest.Const(0)).Func("normalizescore", i32, wasmtest.Const(0)).Bytes()),
			"normalizescore without score"},
		"an effect that is none": {`{"guestURL":"file:///x","sideEffects":["bind"]}`, `args.sideEffects: "bind" is none`},
		"a wrong signature": {file("signature.wasm", wasmtest.New().Func("filter", i64, wasmtest.Const64(0)).Bytes()),
			"its export filter is () → (i64); expected () → (i32)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testHost(clock.RealClock{}, 1).Factory("Test")(context.Background(), &runtime.Unknown{Raw: []byte(test.args)}, cluster(t, nil))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestAProfileWithoutArgsForThePluginIsRefused(t *testing.T) {
	_, err := testHost(clock.RealClock{}, 1).Factory("Test")(context.Background(), nil, cluster(t, nil))
	if want := "guestURL is required"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
}

func TestThePluginHasTheInterfacesOfTheModulesExportsAndNoOthers(t *testing.T) {
	i32, i64 := []wasmtest.ValueType{wasmtest.I32}, []wasmtest.ValueType{wasmtest.I64}
	results := map[string][]wasmtest.ValueType{
		"prefilter": i32, "filter": i32, "postfilter": i64, "prescore": i32, "score": i64, "permit": i64,
	}
	interfaces := func(p framework.Plugin) string {
		var has []string
		for _, each := range []struct {
			name string
			is   bool
		}{
			{"filter", is[framework.FilterPlugin](p)}, {"postfilter", is[framework.PostFilterPlugin](p)},
			{"prescore", is[framework.PreScorePlugin](p)}, {"score", is[framework.ScorePlugin](p)},
			{"lifecycle", is[framework.ReservePlugin](p) && is[framework.PermitPlugin](p) && is[framework.PreBindPlugin](p) &&
				is[framework.BindPlugin](p) && is[framework.PostBindPlugin](p)},
		} {
			if each.is {
				has = append(has, each.name)
			}
		}
		return strings.Join(has, " ")
	}
	for exports, want := range map[string]string{
		"prefilter":                               "",
		"filter":                                  "filter",
		"prefilter filter":                        "filter",
		"filter postfilter":                       "filter postfilter",
		"score":                                   "score",
		"prescore score":                          "prescore score",
		"filter score":                            "filter score",
		"filter prescore score":                   "filter prescore score",
		"filter postfilter score":                 "filter postfilter score",
		"filter postfilter prescore score":        "filter postfilter prescore score",
		"permit":                                  "lifecycle",
		"filter permit":                           "filter lifecycle",
		"filter postfilter permit":                "filter postfilter lifecycle",
		"score permit":                            "score lifecycle",
		"prescore score permit":                   "prescore score lifecycle",
		"filter score permit":                     "filter score lifecycle",
		"filter prescore score permit":            "filter prescore score lifecycle",
		"filter postfilter score permit":          "filter postfilter score lifecycle",
		"filter postfilter prescore score permit": "filter postfilter prescore score lifecycle",
	} {
		t.Run(exports, func(t *testing.T) {
			guest := wasmtest.New()
			for _, export := range strings.Fields(exports) {
				result := wasmtest.Const(0)
				if results[export][0] == wasmtest.I64 {
					result = wasmtest.Const64(0)
				}
				guest.Func(export, results[export], result)
			}
			plugin := startWith(t, Args{AllowUnmetered: true, GuestURL: guest.Write(t), UnsafePoints: []string{"permit"}}, cluster(t, nil))
			if got := interfaces(plugin); got != want {
				t.Errorf("it has %q, want %q", got, want)
			}
			if !is[framework.PreFilterPlugin](plugin) || !is[framework.EnqueueExtensions](plugin) {
				t.Error("it lacks PreFilter or EventsToRegister, which are always there")
			}
		})
	}
}

func is[Interface any](plugin framework.Plugin) bool {
	_, ok := plugin.(Interface)
	return ok
}
