package guest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/internal/wasmtest"
)

var (
	i32 = []wasmtest.ValueType{wasmtest.I32}
	two = []wasmtest.ValueType{wasmtest.I32, wasmtest.I32}
)

func instance(t *testing.T, module *wasmtest.Module, limits guest.Limits, settings guest.Settings) *guest.Instance {
	t.Helper()
	program, err := guest.Compile(t.Context(), module.Bytes(), limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Close)
	made, err := program.Instantiate(settings)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// trap calls filter, which has to trap.
func trap(t *testing.T, of *guest.Instance, call *guest.Call) *guest.Trap {
	t.Helper()
	_, err := of.Call(guest.Filter, call)
	var trap *guest.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("got %v, want a trap", err)
	}
	return trap
}

func TestAProgramIsCompiledOnceAndEachInstanceHasAMemoryOfItsOwn(t *testing.T) {
	counting := wasmtest.New().Func("filter", i32, wasmtest.Global, wasmtest.Const(1), wasmtest.Add, wasmtest.SetGlobal, wasmtest.Global)
	program, err := guest.Compile(t.Context(), counting.Bytes(), guest.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for range 3 {
		made, err := program.Instantiate(guest.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		for want := int32(1); want < 3; want++ {
			if answer, err := made.Call(guest.Filter, &guest.Call{}); err != nil || answer.Code() != want {
				t.Errorf("got %v (%v), want %d", answer, err, want)
			}
		}
		made.Close()
	}
	if program.Live() != 0 {
		t.Errorf("%d instances are left", program.Live())
	}
}

func TestAnExportOfAnotherTypeIsRefusedWithBothTypes(t *testing.T) {
	wrong := wasmtest.New().Func("filter", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0))
	_, err := guest.Compile(t.Context(), wrong.Bytes(), guest.DefaultLimits())
	if err == nil || !strings.Contains(err.Error(), "its export filter is () → (i64); expected () → (i32)") {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerThatDoesNotFitIsNotWrittenAndItsLengthIsTold(t *testing.T) {
	m := wasmtest.New()
	pod := m.Import("k8s.io/scheduler", "currentPod", two, i32)
	asking := func(limit int32) *wasmtest.Module {
		return m.Func("filter", i32, wasmtest.Const(1024), wasmtest.Const(limit), pod, wasmtest.SetLocal,
			wasmtest.Const(1024), wasmtest.Load8, wasmtest.Local, wasmtest.Add)
	}
	answer, err := instance(t, asking(3), guest.DefaultLimits(), guest.Settings{}).Call(guest.Filter, &guest.Call{Pod: "abcd"})
	if err != nil || answer.Code() != 4 {
		t.Errorf("got %v (%v), want the length alone", answer, err)
	}
}

func TestAnAddressOutsideTheMemoryEndsTheCall(t *testing.T) {
	m := wasmtest.New()
	pod := m.Import("k8s.io/scheduler", "currentPod", two, i32)
	m.Func("filter", i32, wasmtest.Const(-8), wasmtest.Const(100), pod)
	trap := trap(t, instance(t, m, guest.DefaultLimits(), guest.Settings{}), &guest.Call{Pod: "a pod"})
	if !strings.Contains(trap.Reason, "5 bytes at address 4294967288 are not in its memory") {
		t.Errorf("it says %q", trap.Reason)
	}
}

// The border is what a hostile module has its host move: fuel does not count that.
func TestAModuleThatHasItsHostMoveTooMuchIsEnded(t *testing.T) {
	m := wasmtest.New()
	pod := m.Import("k8s.io/scheduler", "currentPod", two, i32)
	m.Func("filter", i32, wasmtest.Forever(wasmtest.Const(0), wasmtest.Const(0), pod, wasmtest.Drop), wasmtest.Const(0))
	began := time.Now()
	trap := trap(t, instance(t, m, guest.DefaultLimits(), guest.Settings{}), &guest.Call{Pod: strings.Repeat("a", 1<<20)})
	if !trap.OutOfBounds || !strings.Contains(trap.Reason, "67108864 bytes") {
		t.Errorf("it says %+v", trap)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("that took %v", took)
	}
}

func TestManyLargeWritesToStandardErrorAreChargedAndTheFirstWordsAreKept(t *testing.T) {
	m := wasmtest.New().MaxPages(32)
	write := m.Import("wasi_snapshot_preview1", "fd_write", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32, wasmtest.I32, wasmtest.I32}, i32)
	// 2000 vectors of 1 MiB each begin where the memory is zero: each has the address 0 and the size that is stored here.
	vectors := wasmtest.Code{}
	for i := range int32(100) {
		vectors = append(vectors, wasmtest.Store8(4096+8*i+6, 16)...) // 1 MiB, little endian
	}
	m.Func("filter", i32, wasmtest.Const(31), wasmtest.GrowMemory, wasmtest.Drop, wasmtest.Store8(0, 'h'), wasmtest.Store8(1, 'i'), vectors,
		wasmtest.Const(2), wasmtest.Const(4096), wasmtest.Const(100), wasmtest.Const(8), write)
	trap := trap(t, instance(t, m, guest.Limits{Memory: 4 << 20, Border: 64 << 20}, guest.Settings{}), &guest.Call{})
	if !trap.OutOfBounds || !strings.HasPrefix(trap.Said, "hi") || len(trap.Said) > 4<<10 {
		t.Errorf("it says %q and %d bytes", trap.Reason, len(trap.Said))
	}
}

func TestAReasonIsCutAtItsLimit(t *testing.T) {
	m := wasmtest.New()
	reason := m.Import("k8s.io/scheduler", "result.status_reason", two, nil)
	m.Func("filter", i32, wasmtest.Const(0), wasmtest.Const(60000), reason, wasmtest.Const(2))
	answer, err := instance(t, m, guest.DefaultLimits(), guest.Settings{}).Call(guest.Filter, &guest.Call{})
	if err != nil || len(answer.Reason) != 1<<10 {
		t.Errorf("got %d bytes (%v)", len(answer.Reason), err)
	}
}

func TestManyLargeReasonsAreChargedThoughEachIsCut(t *testing.T) {
	m := wasmtest.New().MaxPages(32)
	reason := m.Import("k8s.io/scheduler", "result.status_reason", two, nil)
	m.Func("filter", i32, wasmtest.Const(31), wasmtest.GrowMemory, wasmtest.Drop,
		wasmtest.Forever(wasmtest.Const(0), wasmtest.Const(1<<20), reason), wasmtest.Const(0))
	limits := guest.DefaultLimits()
	limits.Memory = 4 << 20
	began := time.Now()
	if trap := trap(t, instance(t, m, limits, guest.Settings{}), &guest.Call{}); !trap.OutOfBounds {
		t.Errorf("it says %+v", trap)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("that took %v", took)
	}
}

func TestACallLogsAFewLinesAndNoMore(t *testing.T) {
	m := wasmtest.New()
	log := m.Import("k8s.io/klog", "log", []wasmtest.ValueType{wasmtest.I32, wasmtest.I32, wasmtest.I32}, nil)
	line := wasmtest.Code{}
	for range 100 {
		line = append(line, append(append(append(wasmtest.Const(2), wasmtest.Const(0)...), wasmtest.Const(3)...), log...)...)
	}
	m.Func("filter", i32, line, wasmtest.Const(0))
	lines := 0
	of := instance(t, m, guest.DefaultLimits(), guest.Settings{Log: func(int32, string, []string) { lines++ }})
	for range 2 {
		if _, err := of.Call(guest.Filter, &guest.Call{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := 2 * guest.DefaultLimits().LogLines; lines != want {
		t.Errorf("%d lines were logged, want %d", lines, want)
	}
}

func TestALoopWithoutEndIsEndedByTheClockWhereThereIsNoFuel(t *testing.T) {
	limits := guest.DefaultLimits()
	limits.Time = 20 * time.Millisecond
	trap := trap(t, instance(t, wasmtest.New().Func("filter", i32, wasmtest.Forever(), wasmtest.Const(0)), limits, guest.Settings{}), &guest.Call{})
	if !trap.OutOfBounds || !strings.Contains(trap.Reason, "did not return within 20ms") {
		t.Errorf("it says %+v", trap)
	}
}

func TestMemoryEndsAtItsLimitWhateverTheModuleDeclares(t *testing.T) {
	limits := guest.DefaultLimits()
	limits.Memory = 2 << 16
	growing := wasmtest.New().MaxPages(16).Func("filter", i32, wasmtest.Const(8), wasmtest.GrowMemory)
	_, err := guest.Compile(t.Context(), growing.Bytes(), limits)
	if err != nil {
		return // refused: as good
	}
	answer, err := instance(t, growing, limits, guest.Settings{}).Call(guest.Filter, &guest.Call{})
	if err != nil || answer.Code() != -1 {
		t.Errorf("it grew: %v (%v)", answer, err)
	}
}

func TestNothingIsToldAtPointsThatAreAboutNothing(t *testing.T) {
	for _, each := range []struct {
		name   string
		params int
	}{{"currentPod", 2}, {"targetPod", 2}, {"currentNodeName", 2}, {"get_config", 2}} {
		m := wasmtest.New()
		ask := m.Import("k8s.io/scheduler", each.name, two, i32)
		m.Func("filter", i32, wasmtest.Const(0), wasmtest.Const(100), ask)
		answer, err := instance(t, m, guest.DefaultLimits(), guest.Settings{}).Call(guest.Filter, &guest.Call{})
		if err != nil || answer.Code() != 0 {
			t.Errorf("%s answers %v (%v)", each.name, answer, err)
		}
	}
}
