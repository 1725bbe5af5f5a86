package slot

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"

	"weir.dev/scheduler/guestview"
)

// Args are the `args` of a plugin in the scheduler's configuration. The first three are the extension's own.
type Args struct {
	// GuestURL is where the module is: file:///path/to/plugin.wasm, or configmap://namespace/name/key for one in the
	// binaryData of a ConfigMap. Both are watched, and what changes there is put in force while the scheduler runs.
	GuestURL string `json:"guestURL"`

	// GuestConfig is handed to the guest as it is; the guest says what may be in it.
	GuestConfig string `json:"guestConfig"`

	// GuestConfigMap, as namespace/name, is a ConfigMap with one key whose value is handed to the guest instead, now and
	// whenever it changes. While there is no such ConfigMap, GuestConfig counts.
	GuestConfigMap string `json:"guestConfigMap"`

	// LogSeverity is the least severe of the guest's own messages that reach the log: 0 info, 1 warning, 2 error, 3 fatal.
	LogSeverity int32 `json:"logSeverity"`

	// NodeAnnotations are the keys of the Node's annotations that the guest wants to see. Labels it always sees.
	NodeAnnotations []string `json:"nodeAnnotations"`

	// LoadFreshFor is for how long a sample of a node's measured load is told after it was taken, for example 3m. Without
	// it the guest is told of no load.
	LoadFreshFor metav1.Duration `json:"loadFreshFor"`

	// UnsafePoints names extension points that the extension cannot run safely and that the module exports: a slot
	// refuses such a module otherwise. upstreamTraps says what each can do to the scheduler.
	UnsafePoints []string `json:"unsafePoints"`
}

// parseArgs refuses what it does not know: a key that is misspelt is a setting that is silently not in force.
func parseArgs(raw runtime.Object) (Args, error) {
	var args Args
	if raw == nil {
		return args, errors.New("it has no args in pluginConfig of this profile; guestURL is required")
	}
	unknown, ok := raw.(*runtime.Unknown)
	if !ok {
		return args, fmt.Errorf("args are a %T; expected plain fields such as guestURL", raw)
	}
	strict, err := json.UnmarshalStrict(unknown.Raw, &args)
	if err = errors.Join(append(strict, err)...); err != nil {
		return args, fmt.Errorf("args: %w (known are guestURL, guestConfig, guestConfigMap, logSeverity, nodeAnnotations, loadFreshFor, unsafePoints)", err)
	}
	return args, args.validate()
}

func (a Args) validate() error {
	if a.GuestURL == "" {
		return errors.New("args.guestURL is required, for example file:///plugins/gpu-filter.wasm")
	}
	if err := a.validateSources(); err != nil {
		return err
	}
	if a.LogSeverity < 0 || a.LogSeverity > 3 {
		return fmt.Errorf("args.logSeverity is %d; expected 0 (info), 1 (warning), 2 (error) or 3 (fatal)", a.LogSeverity)
	}
	if a.LoadFreshFor.Duration < 0 {
		return fmt.Errorf("args.loadFreshFor is %v; expected a time such as 3m, or nothing for no load", a.LoadFreshFor.Duration)
	}
	for _, key := range a.NodeAnnotations {
		if strings.HasPrefix(key, guestview.Prefix) {
			return fmt.Errorf("args.nodeAnnotations: %q: what the host says under %s is always there and cannot be asked for", key, guestview.Prefix)
		}
	}
	for _, point := range a.UnsafePoints {
		if _, ok := upstreamTraps[point]; !ok {
			return fmt.Errorf("args.unsafePoints: %q is not one of %s", point, strings.Join(unsafePoints(), ", "))
		}
	}
	return nil
}

func (a Args) validateSources() error {
	if a.GuestConfigMap != "" {
		if _, err := parseName("args.guestConfigMap", a.GuestConfigMap); err != nil {
			return err
		}
	}
	if place, ok := strings.CutPrefix(a.GuestURL, configMapScheme); ok {
		_, _, err := parseKey("args.guestURL", place)
		return err
	}
	if !strings.HasPrefix(a.GuestURL, "file://") {
		return fmt.Errorf("args.guestURL %q: expected file:///path or configmap://namespace/name/key", a.GuestURL)
	}
	return nil
}
