// Package module reads a WebAssembly module and says what is in it, before any of its code runs.
//
// It decides whether bytes are a module that can be loaded, never whether a plugin may use it.
package module

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"weir.dev/scheduler/code"
)

// Module is a WebAssembly module whose bytes are known to be valid.
type Module struct {
	// Source is the URL that the bytes came from, for messages.
	Source string

	// Digest is of the bytes: "sha256:" and 64 hexadecimal digits.
	Digest string

	// Exports are the names of the functions that the module exports.
	Exports map[string]bool

	// Imports are the functions that the module wants from its host, as "module.function".
	Imports []string

	// Version is what the module says of itself; empty if it says nothing.
	Version string

	// Pure says that the module declares that what it answers depends on its configuration, the pod and the node of the
	// call, and on nothing else, and that it imports nothing which could make that a lie. It may still keep things in its
	// memory between calls: that they do not change an answer is its word.
	Pure bool

	// Inline says that a pure module takes the node of a call where its name would be, in one call of its host instead of
	// two. See nodeview.View.Inline.
	Inline bool

	// Declares says that the module says of itself what our SDK writes: it was built with it.
	Declares bool

	// Signature is what lay beside the module; empty if nothing was asked for.
	Signature []byte

	bytes []byte

	// memory is the most bytes that the module's memory may grow to, 0 if it does not say. metering is nil for a module
	// that does not say that it is packed.
	memory   uint64
	size     code.Size
	metering *metering
}

// about is what a module says of itself in the custom section "weir.dev/guest", as JSON. The plain extension does not
// look there, and a module without the section is an ordinary guest.
type about struct {
	// ABI is the version of what this host and our SDK agree on beyond the extension's own interface.
	ABI     int    `json:"abi"`
	Version string `json:"version"`
	Pure    bool   `json:"pure"`
	Inline  bool   `json:"inline"`
}

const (
	aboutSection = "weir.dev/guest"
	knownABI     = 2
)

// pureImports are the host functions that a pure module may import. What is not here (waiting pods, events, WASI with its
// clock and its random numbers) could make an answer depend on more than pod and node, unseen by this host.
var pureImports = map[string]bool{
	"k8s.io/api.node":                        true,
	"k8s.io/scheduler.currentNodeName":       true,
	"k8s.io/scheduler.currentPod":            true,
	"k8s.io/scheduler.get_config":            true,
	"k8s.io/scheduler.result.cluster_events": true,
	"k8s.io/scheduler.result.status_reason":  true,
	"k8s.io/klog.log":                        true,
	"k8s.io/klog.logs":                       true,
	"k8s.io/klog.severity":                   true,

	// Linked into modules that never call them. The slot sees a call that looks at other nodes through these two, and
	// does not remember its answer.
	"k8s.io/api.nodeList":              true,
	"k8s.io/scheduler.nodeImageStates": true,

	// These tell something at one extension point each (AddPod and RemovePod, PostFilter, PreScore) and are empty at all
	// others. Nobody remembers answers of the first two, and those of PreScore only where FilteredNodes is not imported.
	"k8s.io/scheduler.targetPod":       true,
	"k8s.io/scheduler.nodeToStatusMap": true,
	FilteredNodes:                      true,

	// A module that refuses its settings says why on standard error, the one place from which the extension takes a
	// guest's words while it loads it.
	"wasi_snapshot_preview1.fd_write": true,
}

// FilteredNodes is the import by which PreScore learns which nodes have passed the filters.
const FilteredNodes = "k8s.io/scheduler.filteredNodeList"

// MaxBytes is more than a hundred times what one of our plugins has, and ten times a TinyGo guest.
const MaxBytes = 16 << 20

// ReadFile reads a module from a file:// URL, whose path may be relative, as in the extension.
func ReadFile(ctx context.Context, url string) (*Module, error) {
	path := strings.TrimPrefix(url, "file://")
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("guestURL %q: %w", url, err)
	}
	if info.Size() > MaxBytes {
		return nil, fmt.Errorf("guestURL %q: %d bytes are more than the %d that a module may have", url, info.Size(), MaxBytes)
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("guestURL %q: %w", url, err)
	}
	return Parse(ctx, url, bytes)
}

// Parse validates the bytes of a module.
func Parse(ctx context.Context, source string, bytes []byte) (*Module, error) {
	size, err := code.SizeOf(bytes)
	if err != nil {
		return nil, notAModule(source, bytes, err)
	}
	if size.Compilation > mostParsing {
		return nil, (&Module{Source: source}).tooDear()
	}
	// The interpreter's compiler validates the module as the real one does, in a fraction of the time.
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCustomSections(true))
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, bytes)
	if err != nil {
		return nil, notAModule(source, bytes, err)
	}
	if _, ok := compiled.ExportedMemories()["memory"]; !ok {
		return nil, fmt.Errorf("%s exports no memory named \"memory\"; the host could not hand it anything", source)
	}
	module := &Module{
		Source:  source,
		Digest:  DigestOf(bytes),
		Exports: map[string]bool{},
		bytes:   bytes,
		size:    size,
	}
	for name := range compiled.ExportedFunctions() {
		module.Exports[name] = true
	}
	for _, function := range compiled.ImportedFunctions() {
		from, name, _ := function.Import()
		module.Imports = append(module.Imports, from+"."+name)
	}
	if err := module.readAbout(compiled.CustomSections()); err != nil {
		return nil, err
	}
	if err := module.readBounds(compiled); err != nil {
		return nil, err
	}
	return module, nil
}

func notAModule(source string, bytes []byte, why error) error {
	return fmt.Errorf("%s is not a WebAssembly module, or only a part of one (%d bytes): %w", source, len(bytes), why)
}

// DigestOf is the digest of a module's bytes.
func DigestOf(bytes []byte) string {
	sum := sha256.Sum256(bytes)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (m *Module) readAbout(sections []api.CustomSection) error {
	for _, section := range sections {
		if section.Name() != aboutSection {
			continue
		}
		var says about
		if err := json.Unmarshal(section.Data(), &says); err != nil {
			return fmt.Errorf("%s: its custom section %s is not the JSON that our SDK writes: %w", m.Source, aboutSection, err)
		}
		if says.ABI != knownABI {
			return fmt.Errorf("%s was built for version %d of %s and this scheduler knows version %d; build it with the SDK of the same release",
				m.Source, says.ABI, aboutSection, knownABI)
		}
		m.Declares = true
		m.Pure, m.Inline, m.Version = says.Pure, says.Pure && says.Inline, says.Version
	}
	for _, imported := range m.Imports {
		if m.Pure && !pureImports[imported] {
			return fmt.Errorf("%s declares itself pure and imports %s, of which a pure module has no use", m.Source, imported)
		}
	}
	return nil
}

// ShortDigest is enough of the digest to tell versions apart in a message.
func (m *Module) ShortDigest() string { return Short(m.Digest) }

// Short is the beginning of a digest.
func Short(digest string) string { return digest[:len("sha256:")+12] }

// Bytes are the module's own; nobody may write to them.
func (m *Module) Bytes() []byte { return m.bytes }
