// Package guest runs a plugin's WebAssembly module by the ABI of kube-scheduler-wasm-extension (sdk/ABI.md).
//
// It decides what a module may use up and what reaches it, and nothing of scheduling: it knows messages, names, codes and
// numbers, and neither pods nor nodes. A module is compiled once, as a [Program], and instantiated many times. A trap ends
// one [Instance]; the next one starts from the same compiled code.
package guest

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Limits are what the host grants, whatever a module says of itself.
type Limits struct {
	// Memory is the most bytes of memory that one instance may have.
	Memory uint64

	// Border is the most bytes that host functions may move or look at during one call of an export. Each of their calls
	// costs callPrice on top, so a module cannot call them without end either.
	Border int64

	// Reason is the most bytes of a status's reason, LogLine those of a message with its pairs; what is longer is cut.
	Reason, LogLine int

	// LogLines and Events are how many of each one call may have; those beyond are dropped.
	LogLines, Events int

	// Time ends a call by the clock; 0 is no such end. It is for modules whose own metering is not proven, and makes each
	// call dearer.
	Time time.Duration
}

// callPrice is what a call of a host function costs of the border's bytes, beside what it moves.
const callPrice = 128

// DefaultLimits hold for every module of a scheduler.
func DefaultLimits() Limits {
	return Limits{Memory: 16 << 20, Border: 64 << 20, Reason: 1 << 10, LogLine: 4 << 10, LogLines: 32, Events: 8}
}

// Program is a compiled module. It may be used from any goroutine.
type Program struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	limits   Limits
	points   [pointCount]bool
	live     atomic.Int64
}

const pageBytes = 64 << 10

// Compile compiles a module. It takes some 100 ms for 100 KiB, so nobody should hold a lock meanwhile.
func Compile(ctx context.Context, module []byte, limits Limits) (*Program, error) {
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	config := wazero.NewRuntimeConfig().
		WithMemoryLimitPages(uint32(min((limits.Memory+pageBytes-1)/pageBytes, 1<<16))).
		WithCloseOnContextDone(limits.Time > 0)
	p := &Program{runtime: wazero.NewRuntimeWithConfig(ctx, config), limits: limits}
	if err := p.load(ctx, module); err != nil {
		_ = p.runtime.Close(ctx) // the first error matters
		return nil, err
	}
	return p, nil
}

func (p *Program) load(ctx context.Context, module []byte) (err error) {
	if err = linkHost(ctx, p.runtime); err != nil {
		return fmt.Errorf("the host's own functions: %w", err)
	}
	if p.compiled, err = p.runtime.CompileModule(ctx, module); err != nil {
		return fmt.Errorf("compiling: %w", err)
	}
	exported := p.compiled.ExportedFunctions()
	for point := range pointCount {
		function, ok := exported[point.Export()]
		if !ok {
			continue
		}
		if err := point.checkSignature(function); err != nil {
			return err
		}
		p.points[point] = true
	}
	return nil
}

// Exports says whether the module has an extension point.
func (p *Program) Exports(point Point) bool { return p.points[point] }

// Live is how many instances there are.
func (p *Program) Live() int { return int(p.live.Load()) }

// Close frees the code. No instance may be used any more.
func (p *Program) Close() { _ = p.runtime.Close(context.Background()) } // it only frees memory

// Instantiate makes an instance: its memory is fresh, and its _start has read the settings. The services are the
// instance's own and are called by the goroutine that calls the instance.
func (p *Program) Instantiate(settings Settings) (*Instance, error) {
	made := &Instance{program: p, settings: settings}
	// What host functions are told of by whom they are called. One value for all calls: none is made for a call.
	made.ctx = context.WithValue(context.Background(), instanceKey{}, made)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	module, err := p.runtime.InstantiateModule(made.ctx, p.compiled, config)
	if err != nil {
		return nil, made.trapped(err)
	}
	p.live.Add(1)
	made.module, made.memory = module, module.Memory()
	made.outOfFuel = module.ExportedGlobal(outOfFuelName)
	for point := range pointCount {
		if p.points[point] {
			made.functions[point] = module.ExportedFunction(point.Export())
		}
	}
	if err := made.start(); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// start runs what a compiler puts before everything else: it makes the plugin of the settings, or traps with a sentence.
func (i *Instance) start() error {
	start := i.module.ExportedFunction("_start")
	if start == nil {
		return nil
	}
	i.begin(&Call{})
	return i.run(start)
}

// Settings are what an instance is made with.
type Settings struct {
	// Config is what get_config tells.
	Config string

	// Severity is the least severe of the guest's messages that the log wants.
	Severity int32

	// Log takes a message with its keys and values in turn. Nil is nobody.
	Log func(severity int32, message string, pairs []string)
}

type instanceKey struct{}

// outOfFuelName is a global of a packed module that is not 0 when it has used up the fuel of a call.
const outOfFuelName = "weir_out_of_fuel"
