package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/module"
	"weir.dev/scheduler/origin"
)

// StateVariable is the environment's name of the folder in which the last good version of each plugin is kept for the next
// start. Without it nothing is kept: what lies in a folder that nobody chose may be of another cluster.
const StateVariable = "WEIR_STATE"

// keeper keeps the last good version of a slot on disk: a scheduler that starts while the newest module is broken, or its
// source away, starts with what was in force before. The zero value keeps nothing.
type keeper struct {
	folder string

	// writing is held while a version is written; pending are those that are written or wait for it.
	writing sync.Mutex
	pending sync.WaitGroup
}

// newKeeper keeps what it is given in the folder of StateVariable.
func newKeeper(profile, plugin string) *keeper {
	folder := os.Getenv(StateVariable)
	if folder == "" {
		return &keeper{}
	}
	return &keeper{folder: filepath.Join(folder, fileName(profile), fileName(plugin))}
}

// fileName makes any name one of a file.
func fileName(name string) string {
	return strings.NewReplacer("/", "_", "\\", "_", "..", "_").Replace(name)
}

// keptVersion is a version as it lies on disk, beside its module.
type keptVersion struct {
	Source    string `json:"source"`
	Digest    string `json:"digest"`
	Signature []byte `json:"signature,omitempty"`
	Config    string `json:"config"`
}

const (
	keptModule = "module.wasm"
	keptAbout  = "about.json"
)

// put keeps the version in force, beside its caller. What cannot be written is missed at the next start only if something
// else is wrong then, too.
func (k *keeper) put(inForce *atomic.Pointer[version]) {
	if k.folder == "" {
		return
	}
	k.pending.Go(func() {
		k.writing.Lock()
		defer k.writing.Unlock()
		v := inForce.Load()
		if err := k.write(v); err != nil {
			klog.Background().V(2).Info("The last good version of a plugin is not kept", "plugin", v.plugin, "because", err.Error())
		}
	})
}

func (k *keeper) write(v *version) error {
	about, err := json.Marshal(keptVersion{Source: v.module.Source, Digest: v.module.Digest, Signature: v.module.Signature, Config: v.spec.config})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.folder, 0o700); err != nil {
		return err
	}
	return errors.Join(
		replaceFile(filepath.Join(k.folder, keptModule), v.module.Bytes()),
		replaceFile(filepath.Join(k.folder, keptAbout), about))
}

func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// get is the version that was kept last, held to the slot's bounds like any other.
func (k *keeper) get(ctx context.Context, by *sources) (spec, error) {
	if k.folder == "" {
		return spec{}, os.ErrNotExist
	}
	text, err := os.ReadFile(filepath.Join(k.folder, keptAbout))
	if err != nil {
		return spec{}, err
	}
	var about keptVersion
	if err := json.Unmarshal(text, &about); err != nil {
		return spec{}, err
	}
	if about.Source != by.args.GuestURL {
		return spec{}, fmt.Errorf("it came from %s", about.Source)
	}
	bytes, err := os.ReadFile(filepath.Join(k.folder, keptModule))
	if err != nil {
		return spec{}, err
	}
	if digest := module.DigestOf(bytes); digest != about.Digest {
		return spec{}, fmt.Errorf("it is %s and was kept as %s", digest, about.Digest)
	}
	blob := origin.Blob{Bytes: bytes, Signature: about.Signature}
	read, err := by.admitted(ctx, blob, about.Digest, by.args.GuestURL, by.args.Digest)
	return spec{module: read, config: about.Config}, err
}

// firstVersion is what a slot starts with: what is at its sources, or the last good version where that cannot be used.
func (s *slot) firstVersion(ctx context.Context) (*version, error) {
	there := s.sources.read(ctx)
	s.swaps.mark = there.mark
	newest, err := s.versionOf(ctx, &there)
	if err == nil {
		return newest, nil
	}
	before, keptErr := s.swaps.keeper.get(ctx, s.sources)
	if keptErr != nil {
		return nil, err // what is wrong with the newest is what there is to say
	}
	if there.configErr == nil {
		before.config, before.revision = there.config, there.revision
	}
	v, keptErr := s.host.newVersion(ctx, s.name, s.args, before, s.guestsHandle())
	if keptErr != nil {
		return nil, err
	}
	klog.FromContext(ctx).Error(err, "A plugin starts with the last good version", "plugin", s.name, "digest", v.module.Digest)
	s.event(v1.EventTypeWarning, "PluginRefused", fmt.Sprintf("Plugin %s: %v. It starts with the last good version, %s", s.name, err, v.module.ShortDigest()))
	return v, nil
}

func (s *slot) versionOf(ctx context.Context, there *found) (*version, error) {
	if err := errors.Join(there.moduleErr, there.configErr); err != nil {
		return nil, err
	}
	newest := spec{module: there.module, config: there.config, revision: there.revision}
	return s.host.newVersion(ctx, s.name, s.args, newest, s.guestsHandle())
}

// absent is a plugin in mode Shadow whose module cannot be loaded: what decides nothing must not keep a scheduler from
// starting.
type absent struct{ name string }

// Name implements framework.Plugin.
func (a absent) Name() string { return a.name }

// PreFilter implements framework.PreFilterPlugin.
func (absent) PreFilter(context.Context, framework.CycleState, *v1.Pod, []framework.NodeInfo) (*framework.PreFilterResult, *framework.Status) {
	return nil, framework.NewStatus(framework.Skip)
}

// PreFilterExtensions implements framework.PreFilterPlugin.
func (absent) PreFilterExtensions() framework.PreFilterExtensions { return nil }

// SignPod implements framework.SignPlugin.
func (absent) SignPod(context.Context, *v1.Pod) ([]framework.SignFragment, *framework.Status) {
	return nil, nil
}
