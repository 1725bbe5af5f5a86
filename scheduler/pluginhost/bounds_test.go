package pluginhost

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/internal/wasmtest"
	"weir.dev/scheduler/module"
)

// onlyOn is a filter that does something on nodes whose name has four letters, such as "trap", and passes elsewhere.
func onlyOn(does ...wasmtest.Code) *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32,
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal,
		wasmtest.If(does...), wasmtest.Const(0))
}

// enoughFuel is for some calls of the host, of which each costs 1000.
const enoughFuel = 10_000

func packed(sentence string) *wasmtest.Module { return answering(sentence).Packed(enoughFuel) }

func TestAModuleThatLoopsIsEndedByItsFuelAndSchedulingGoesOn(t *testing.T) {
	s := startBounded(t, onlyOn(wasmtest.Forever()).Packed(enoughFuel), Args{})

	status := s.ask(t, "trap")
	if want := "ran out of fuel, of which a call has 10000"; status.Code() != framework.Error || !strings.Contains(status.Message(), want) {
		t.Errorf("it is answered %v %q, want an Error with %q", status.Code(), status.Message(), want)
	}
	if status := s.ask(t, "a"); !status.IsSuccess() {
		t.Errorf("the next call is answered %v", status)
	}
	if row := s.report(); row.Traps != 1 || !strings.Contains(row.Log[len(row.Log)-1].Reason, "ran out of fuel") {
		t.Errorf("the report says %d traps and %+v", row.Traps, row.Log)
	}
}

func TestACandidateThatLoopsInItsSelfTestIsRefused(t *testing.T) {
	s := startBounded(t, packed("old"), Args{})
	looping := wasmtest.New().Func("filter", i32, wasmtest.Forever(), wasmtest.Const(0)).Packed(50)
	s.refuses(t, looping.Bytes(), "ran out of fuel, of which a call has 50")
}

func TestACandidateThatLoopsWhileItStartsIsRefused(t *testing.T) {
	s := startBounded(t, packed("old"), Args{})
	looping := answering("new").Func("_start", nil, wasmtest.Forever()).Packed(50)
	s.refuses(t, looping.Bytes(), "ran out of fuel, of which a call has 50")
}

func TestAModuleThatAllocatesWithoutEndStopsAtItsCapAndSchedulingGoesOn(t *testing.T) {
	grow := wasmtest.Forever(wasmtest.Const(1), wasmtest.GrowMemory, wasmtest.Const(-1), wasmtest.Equal, wasmtest.If(wasmtest.Trap))
	s := startBounded(t, onlyOn(grow).MaxPages(64).Packed(10_000_000), Args{MaxMemory: resource.MustParse("4Mi")})
	if status := s.ask(t, "trap"); status.Code() != framework.Error || !strings.Contains(status.Message(), "unreachable") {
		t.Errorf("it is answered %v %q", status.Code(), status.Message())
	}
	if status := s.ask(t, "a"); !status.IsSuccess() {
		t.Errorf("the next call is answered %v", status)
	}
}

func TestACandidateOutsideTheBoundsIsRefusedWithItsReasonAndTheOldOneStays(t *testing.T) {
	unknown := wasmtest.New()
	unknown.Import("env", "open_door", nil, nil)
	sockets := wasmtest.New()
	sockets.Import("wasi_snapshot_preview1", "sock_accept", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32, wasmtest.I32}, i32)
	filter := func(m *wasmtest.Module) *wasmtest.Module { return m.Func("filter", i32, wasmtest.Const(0)) }
	sound := packed("new").Bytes()
	for want, candidate := range map[string][]byte{
		"is not metered":                         answering("new").Bytes(),
		"is metered in version 2":                filter(wasmtest.New()).Custom("weir.metering", []byte(`{"version":2,"fuelPerCall":1}`)).Bytes(),
		"has 0 fuel for each call":               filter(wasmtest.New()).Custom("weir.metering", []byte(`{"version":1}`)).Bytes(),
		"is not the JSON that":                   filter(wasmtest.New()).Custom("weir.metering", []byte(`1000`)).Bytes(),
		"memory to 33554432 bytes and the slot":  packed("new").MaxPages(512).Bytes(),
		"imports env.open_door":                  filter(unknown).Packed(enoughFuel).Bytes(),
		"imports wasi_snapshot_preview1.sock_ac": filter(sockets).Packed(enoughFuel).Bytes(),
		"or only a part of one":                  sound[:len(sound)/2],
		"other extension points":                 wasmtest.New().Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0)).Packed(enoughFuel).Bytes(),
	} {
		t.Run(want, func(t *testing.T) {
			s := startBounded(t, packed("old"), Args{})
			s.refuses(t, candidate, want)
			if row := s.report(); row.LastSwap.Result != "Refused" || !strings.Contains(row.LastSwap.Reason, want) {
				t.Errorf("the report says %+v", row.LastSwap)
			}
		})
	}
}

func TestOnlyTheModuleOfTheDigestInTheArgsIsTaken(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{Digest: module.DigestOf(answering("old").Bytes())})
	s.replace(t, answering("new").Bytes())
	if event := s.event(t); !strings.Contains(event, "args.digest asks for sha256:") {
		t.Errorf("the event says %q", event)
	}
	if got := s.ask(t, "a").Message(); got != "old" {
		t.Errorf("the answer is %q", got)
	}
}

// signer is a key pair whose public half stands in a slot's args.
func signer(t *testing.T) (public string, sign func(module []byte) []byte) {
	t.Helper()
	key, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), func(module []byte) []byte { return ed25519.Sign(private, module) }
}

func TestWithAPublicKeyOnlyModulesOfItsSignatureAreTaken(t *testing.T) {
	public, sign := signer(t)
	_, signByAnother := signer(t)
	old, sound := configMap("plugins", "1", ""), answering("new").Bytes()
	old.BinaryData = map[string][]byte{"p.wasm": answering("old").Bytes(), "p.wasm.sig": sign(answering("old").Bytes())}
	old.Data = nil
	for name, test := range map[string]struct {
		signature []byte
		want      string
	}{
		"none":                     {nil, "no signature beside it"},
		"by another key":           {signByAnother(sound), "is not one of args.publicKey"},
		"of another module":        {sign(answering("another").Bytes()), "is not one of args.publicKey"},
		"something else":           {[]byte("signed: the platform team"), "neither the 64 bytes of an ed25519"},
		"the right one":            {sign(sound), "PluginReplaced"},
		"the right one, in base64": {[]byte(base64.StdEncoding.EncodeToString(sign(sound)) + "\n"), "PluginReplaced"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSwapping(t, nil, Args{GuestURL: "configmap://weir-system/plugins/p.wasm", PublicKey: public}, old)
			s.synced(t)
			changed := old.DeepCopy()
			changed.BinaryData = map[string][]byte{"p.wasm": sound, "p.wasm.sig": test.signature}
			s.update(t, changed)
			if event := s.event(t); !strings.Contains(event, test.want) {
				t.Errorf("the event says %q, want %q in it", event, test.want)
			}
		})
	}
}

func TestTheSameWordsAboutAnotherModuleAreNewsAndAboutTheSameAreNot(t *testing.T) {
	public, sign := signer(t)
	_, signByAnother := signer(t)
	old := configMap("plugins", "1", "")
	old.BinaryData = map[string][]byte{"p.wasm": answering("old").Bytes(), "p.wasm.sig": sign(answering("old").Bytes())}
	old.Data = nil
	s := startSwapping(t, nil, Args{GuestURL: "configmap://weir-system/plugins/p.wasm", PublicKey: public}, old)
	s.synced(t)
	candidate := answering("new").Bytes()
	put := func(revision string, signature []byte) {
		changed := old.DeepCopy()
		changed.ResourceVersion = revision
		changed.BinaryData = map[string][]byte{"p.wasm": candidate, "p.wasm.sig": signature}
		s.update(t, changed)
	}
	for revision, signature := range [][]byte{signByAnother(candidate), sign([]byte("something else"))} {
		put(fmt.Sprint(2+revision), signature)
		if event := s.event(t); !strings.Contains(event, "is not one of args.publicKey") {
			t.Errorf("the event says %q", event)
		}
	}
	put("4", sign([]byte("something else")))
	put("5", sign(candidate))
	if event := s.event(t); !strings.Contains(event, "PluginReplaced") {
		t.Errorf("the event says %q, want nothing about what was refused before", event)
	}
}

func TestTheSignatureOfAFileLiesBesideIt(t *testing.T) {
	public, sign := signer(t)
	guest := answering("signed")
	url := guest.Write(t)
	path := strings.TrimPrefix(url, "file://")
	args := Args{AllowUnmetered: true, GuestURL: url, PublicKey: public}
	if _, err := newPlugin("Test", args, cluster(t, nil)); err == nil || !strings.Contains(err.Error(), "no signature beside it") {
		t.Errorf("without a signature: %v", err)
	}
	if err := os.WriteFile(path+".sig", sign(guest.Bytes()), 0o600); err != nil {
		t.Fatal(err)
	}
	startWith(t, args, cluster(t, nil))
}

func TestAConfigurationComesIntoForceAlthoughTheModuleBesideItCannotBeUsed(t *testing.T) {
	s := startSwapping(t, saysConfig(), Args{GuestConfigMap: "weir-system/list"}, configMap("list", "1", "first"))
	s.synced(t)
	s.replace(t, wasmtest.New().Func("filter", i32, wasmtest.Trap).Bytes())
	s.event(t)
	s.update(t, configMap("list", "2", "second"))
	for {
		if event := s.event(t); strings.Contains(event, "PluginReplaced") {
			break
		}
	}
	if got := s.ask(t, "a").Message(); got != "second" || s.report().ConfigRevision != "2" {
		t.Errorf("the configuration is %q of revision %q", got, s.report().ConfigRevision)
	}
}

func TestAModuleThatWasRolledBackIsNotTakenAgainWhenItsConfigurationChanges(t *testing.T) {
	s := startSwapping(t, saysConfig(), Args{GuestConfigMap: "weir-system/list"}, configMap("list", "1", "first"))
	s.synced(t)
	m, host := wasmtest.WithHost()
	bad := m.Func("filter", i32, // it traps on the node "trap" and answers its configuration elsewhere
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal, wasmtest.If(wasmtest.Trap),
		wasmtest.Const(1024), wasmtest.Const(60000), host.Config, host.Answer(3))
	s.replace(t, bad.Bytes())
	s.event(t)
	for range 3 {
		s.ask(t, "trap")
	}
	s.event(t)
	s.update(t, configMap("list", "2", "second"))
	s.event(t)
	if got := s.ask(t, "a"); got.Code() != framework.Unschedulable || got.Message() != "second" {
		t.Errorf("it is answered %v %q, want the sound module with the new configuration", got.Code(), got.Message())
	}
}

func TestACandidateIsTriedOnWhatTheClusterHasBeforeItIsInForce(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	s.ask(t, "trap") // so the slot has seen the pod and the node
	s.refuses(t, onlyOn(wasmtest.Trap).Pure().Bytes(), "about pod default/p and node trap")
}
