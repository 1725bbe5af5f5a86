package pluginhost

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/module"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/origin"
)

// Args are the `args` of a plugin in the scheduler's configuration. The first three are the extension's own.
type Args struct {
	// GuestURL is where the module is: file:///path/to/plugin.wasm, configmap://namespace/name/key for one in the
	// binaryData of a ConfigMap, https://host/path, or oci://registry/repository@sha256:digest. What changes there is put in
	// force while the scheduler runs.
	GuestURL string `json:"guestURL"`

	// Digest, as sha256: and 64 hexadecimal digits, is what the module must have. Without one an http:// URL is refused,
	// and a module at https:// is asked for again every PollEvery, 30 seconds if nothing is said.
	Digest    string          `json:"digest"`
	PollEvery metav1.Duration `json:"pollEvery"`

	// PublicKey is an ed25519 key in PEM. With it, every module must have a signature of that key beside it: under its own
	// name and .sig in a file, a ConfigMap or on a web server, in the annotation weir.dev/signature in a registry.
	PublicKey string `json:"publicKey"`

	// MaxMemory is the most memory that one instance of the module may declare, 16Mi if nothing is said.
	MaxMemory resource.Quantity `json:"maxMemory"`

	// AllowUnmetered lets a module in that nothing stops if it never returns.
	AllowUnmetered bool `json:"allowUnmetered"`

	// Mode is Active, or Shadow for a plugin whose answers are only counted: the slot answers as if it were not there.
	Mode string `json:"mode"`

	// ShadowURL is where a candidate is looked for that runs in the shadow of the module in force. Where GuestURL is a file
	// or a ConfigMap's key and this says nothing, it is the same with .shadow behind it; there need not be one.
	ShadowURL string `json:"shadowURL"`

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

	// WithoutRequests leaves out of the nodes what their pods ask for. It is for filters that judge what kind of node a node
	// is: their answers then hold however pods come and go, and a pod that passes on every node costs no call at all.
	WithoutRequests bool `json:"withoutRequests"`

	// SideEffects are what the module may do beside answering: "events" lets it record events, "waitingPods" lets it look at
	// pods that wait at Permit and reject them. Nothing of that happens otherwise.
	SideEffects []string `json:"sideEffects"`

	// UnsafePoints had to name the points from reserve on while they were not safe. They are; configurations of that time
	// still load.
	UnsafePoints []string `json:"unsafePoints"`
}

// sideEffects are what a module may do beside answering.
type sideEffects struct{ events, waitingPods bool }

const (
	effectEvents      = "events"
	effectWaitingPods = "waitingPods"
)

func (a Args) sideEffects() sideEffects {
	return sideEffects{
		events:      slices.Contains(a.SideEffects, effectEvents),
		waitingPods: slices.Contains(a.SideEffects, effectWaitingPods),
	}
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
		return args, fmt.Errorf("args: %w (known are %s)", err, knownArgs)
	}
	return args, args.validate()
}

const knownArgs = "guestURL, digest, pollEvery, publicKey, maxMemory, allowUnmetered, mode, shadowURL, guestConfig, guestConfigMap, " +
	"logSeverity, nodeAnnotations, loadFreshFor, withoutRequests, sideEffects, unsafePoints"

func (a Args) validate() error {
	if a.GuestURL == "" {
		return errors.New("args.guestURL is required, for example file:///plugins/gpu-filter.wasm")
	}
	if err := errors.Join(a.validateSources(), a.validateBounds()); err != nil {
		return err
	}
	if a.LogSeverity < 0 || a.LogSeverity > 3 {
		return fmt.Errorf("args.logSeverity is %d; expected 0 (info), 1 (warning), 2 (error) or 3 (fatal)", a.LogSeverity)
	}
	if a.LoadFreshFor.Duration < 0 {
		return fmt.Errorf("args.loadFreshFor is %v; expected a time such as 3m, or nothing for no load", a.LoadFreshFor.Duration)
	}
	if a.LoadFreshFor.Duration > 0 && a.WithoutRequests {
		return errors.New("args.withoutRequests and args.loadFreshFor are both set; a load is told with what those pods ask for whom it is of, so leave one of them out")
	}
	for _, key := range a.NodeAnnotations {
		if strings.HasPrefix(key, nodeview.Prefix) {
			return fmt.Errorf("args.nodeAnnotations: %q: what the host says under %s is always there and cannot be asked for", key, nodeview.Prefix)
		}
	}
	for _, effect := range a.SideEffects {
		if effect != effectEvents && effect != effectWaitingPods {
			return fmt.Errorf("args.sideEffects: %q is none; expected %s or %s", effect, effectEvents, effectWaitingPods)
		}
	}
	for _, point := range a.UnsafePoints {
		if !slices.Contains(lifecyclePoints, point) {
			return fmt.Errorf("args.unsafePoints: %q is not one of %s", point, strings.Join(lifecyclePoints, ", "))
		}
	}
	return nil
}

func (a Args) validateSources() error {
	var errs []error
	check := func(_ any, err error) { errs = append(errs, err) }
	check(origin.Parse("args.guestURL", a.GuestURL, origin.Options{}))
	if a.ShadowURL != "" {
		check(origin.Parse("args.shadowURL", a.ShadowURL, origin.Options{}))
	}
	if a.GuestConfigMap != "" {
		check(origin.ParseName("args.guestConfigMap", a.GuestConfigMap))
	}
	if a.Digest != "" {
		check(module.ParseDigest("args.digest", a.Digest))
	}
	if a.PublicKey != "" {
		check(module.ParsePublicKey("args.publicKey", a.PublicKey))
	}
	for field, url := range map[string]string{"guestURL": a.GuestURL, "shadowURL": a.ShadowURL} {
		if strings.HasPrefix(url, "http://") && a.PublicKey == "" && (a.Digest == "" || field == "shadowURL") {
			errs = append(errs, fmt.Errorf("args.%s %q: anybody on the way could change it; use https, or set args.publicKey or, for guestURL, args.digest", field, url))
		}
	}
	if a.PollEvery.Duration < 0 {
		errs = append(errs, fmt.Errorf("args.pollEvery is %v; expected a time such as 30s", a.PollEvery.Duration))
	}
	return errors.Join(errs...)
}

func (a Args) validateBounds() error {
	if a.MaxMemory.Sign() < 0 {
		return fmt.Errorf("args.maxMemory is %s; expected an amount such as 16Mi", a.MaxMemory.String())
	}
	switch a.Mode {
	case "", ModeActive:
		return nil
	case ModeShadow:
		if len(a.UnsafePoints) > 0 || len(a.SideEffects) > 0 || a.ShadowURL != "" {
			return errors.New("args.mode is Shadow: such a plugin is asked at prefilter, filter, prescore and score only and has no shadow of its own; leave unsafePoints, sideEffects and shadowURL out")
		}
		return nil
	}
	return fmt.Errorf("args.mode is %q; expected Active or Shadow", a.Mode)
}

const (
	defaultPoll   = 30 * time.Second
	defaultMemory = 16 << 20
)

func (a Args) pollEvery() time.Duration { return cmp.Or(a.PollEvery.Duration, defaultPoll) }

func (a Args) shadowURL() string {
	scheme, _, _ := strings.Cut(a.GuestURL, "://")
	if a.ShadowURL == "" && a.Mode != ModeShadow && (scheme == "file" || scheme == "configmap") {
		return a.GuestURL + shadowSuffix
	}
	return a.ShadowURL
}

func (a Args) bounds() module.Bounds {
	bounds := module.Bounds{Memory: cmp.Or(uint64(a.MaxMemory.Value()), defaultMemory)}
	if a.AllowUnmetered {
		bounds.Metering = module.MeteringOptional
	}
	return bounds
}

// lifecyclePoints are those that args.unsafePoints used to name.
var lifecyclePoints = []string{"bind", "normalizescore", "permit", "postbind", "prebind", "reserve", "unreserve"}

// unmeteredTime is how long a call may take of a module that does not count its own instructions.
const unmeteredTime = time.Second

// limits are what one instance of a module is granted.
func (a Args) limits(m *module.Module, granted guest.Limits) guest.Limits {
	granted.Memory = a.bounds().Memory
	if m.FuelPerCall() == 0 {
		granted.Time = unmeteredTime
	}
	return granted
}
