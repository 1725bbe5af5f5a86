package module

import (
	"encoding/json"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"weir.dev/scheduler/code"
)

// Bounds are what a module may use up. They are compared with what the module declares and with its code, before any of it
// runs; the runtime and the module's own metering, which is proven by its code, then hold it to what it declared.
type Bounds struct {
	// Memory is the most bytes that one instance may ever have.
	Memory uint64

	// Metering says whether a module without metering is let in.
	Metering Metering
}

// Metering is what a slot asks of its modules.
type Metering int

const (
	// MeteringRequired refuses a module that nothing stops when it never returns.
	MeteringRequired Metering = iota
	// MeteringOptional lets such a module in: whoever allows it trusts the module.
	MeteringOptional
)

// metering is what the packer says in the custom section meteringSection, as JSON.
type metering struct {
	Version int `json:"version"`

	// FuelPerCall is how much each call of an export may use: about one for each instruction. The packed module itself
	// fills it up when it is called and traps when it is used up.
	FuelPerCall uint64 `json:"fuelPerCall"`

	// unproven is what in the module's code contradicts that; nil if nothing does.
	unproven error
}

const (
	meteringSection = "weir.metering"
	knownMetering   = 1

	// mostFuel is about a second of the fastest core. More is no bound for somebody who waits for a pod.
	mostFuel = 1 << 30

	// mostTableEntries is what all tables of a module together may get to, and what the packer lets one of them grow to.
	// Unlike memory, a table that may grow has no limit in the runtime.
	mostTableEntries = 1 << 16

	// mostCompilation and mostParsing are of code.Size.Compilation: the first takes the compiler about a second and is ten
	// times what a plugin of ours has, the second is the same for modules that an operator trusts, and TinyGo's.
	mostCompilation = 1 << 25
	mostParsing     = 1 << 28

	pageBytes = 64 << 10
)

// allowedImports are what any module may import: the functions of the extension, and of WASI what compilers link into
// every program. Files, sockets and everything by which a guest could wait are not in it.
var allowedImports = func() map[string]bool {
	allowed := map[string]bool{
		"k8s.io/scheduler.nodeScoreList":                true,
		"k8s.io/scheduler.result.node_names":            true,
		"k8s.io/scheduler.result.nominated_node_name":   true,
		"k8s.io/scheduler.result.normalized_score_list": true,
		"k8s.io/scheduler.handle.eventrecorder.eventf":  true,
		"k8s.io/scheduler.handle.reject_waiting_pod":    true,
		"k8s.io/scheduler.handle.get_waiting_pod":       true,
	}
	for name := range pureImports {
		allowed[name] = true
	}
	for _, name := range []string{
		"args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_close",
		"fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_dir_name", "fd_prestat_get", "fd_read", "fd_seek",
		"poll_oneoff", "proc_exit", "random_get", "sched_yield",
	} {
		allowed["wasi_snapshot_preview1."+name] = true
	}
	return allowed
}()

// Within says why the module may not be loaded under these bounds; nil if it may.
func (m *Module) Within(bounds Bounds) error {
	for _, imported := range m.Imports {
		if !allowedImports[imported] {
			return fmt.Errorf("%s imports %s, which no plugin is given", m.Source, imported)
		}
	}
	switch {
	case m.memory == 0:
		return fmt.Errorf("%s declares no maximum for its memory; link it with --max-memory=%d or less", m.Source, bounds.Memory)
	case m.memory > bounds.Memory:
		return fmt.Errorf("%s may grow its memory to %d bytes and the slot allows %d; link it with a lower --max-memory, or raise args.maxMemory",
			m.Source, m.memory, bounds.Memory)
	case m.size.TableEntries > mostTableEntries:
		return fmt.Errorf("%s has tables that may grow to %d entries, and %d are allowed; link it without --growable-table", m.Source, m.size.TableEntries, mostTableEntries)
	case m.size.Compilation > mostCompilation && bounds.Metering == MeteringRequired:
		return m.tooDear()
	}
	return m.metered(bounds.Metering)
}

func (m *Module) metered(wanted Metering) error {
	switch {
	case m.metering == nil && wanted == MeteringOptional:
		return nil
	case m.metering == nil:
		return fmt.Errorf("%s is not metered, so nothing would stop it if it never returned; pack it with `weir plugin pack`, or set args.allowUnmetered", m.Source)
	case m.metering.Version != knownMetering:
		return fmt.Errorf("%s is metered in version %d of %s and this scheduler knows version %d; pack it with the same release",
			m.Source, m.metering.Version, meteringSection, knownMetering)
	case m.metering.FuelPerCall == 0 || m.metering.FuelPerCall > mostFuel:
		return fmt.Errorf("%s has %d fuel for each call; expected 1 to %d", m.Source, m.metering.FuelPerCall, uint64(mostFuel))
	case m.metering.unproven != nil && wanted == MeteringRequired:
		return fmt.Errorf("%s says that it is metered and is not (%w); pack it with `weir plugin pack`", m.Source, m.metering.unproven)
	}
	return nil
}

func (m *Module) tooDear() error {
	return fmt.Errorf("%s has functions with so many branches that compiling them would take too long; divide them", m.Source)
}

// FuelPerCall is what a call of a metered module may use; 0 for one that is not metered, whatever it says.
func (m *Module) FuelPerCall() uint64 {
	if m.metering == nil || m.metering.unproven != nil {
		return 0
	}
	return m.metering.FuelPerCall
}

func (m *Module) readBounds(compiled wazero.CompiledModule) error {
	if most, declared := compiled.ExportedMemories()["memory"].Max(); declared {
		m.memory = uint64(most) * pageBytes
	}
	return m.readMetering(compiled.CustomSections())
}

func (m *Module) readMetering(sections []api.CustomSection) error {
	for _, section := range sections {
		if section.Name() != meteringSection {
			continue
		}
		m.metering = &metering{}
		if err := json.Unmarshal(section.Data(), m.metering); err != nil {
			return fmt.Errorf("%s: its custom section %s is not the JSON that `weir plugin pack` writes: %w", m.Source, meteringSection, err)
		}
		m.metering.unproven = code.Check(m.bytes, m.metering.FuelPerCall)
	}
	return nil
}
