package slot

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
)

// What becomes of a candidate, as weir_plugin_swaps_total has it.
const (
	swapInForce    = "InForce"
	swapRefused    = "Refused"
	swapRolledBack = "RolledBack"
)

// reload tries what is at the sources now, if that is not what is in force. A candidate that cannot be used changes
// nothing: the version in force stays, and an event, a metric and the log say why.
func (s *slot) reload(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if ctx.Err() != nil {
		return
	}
	candidate, err := s.sources.read(ctx)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	inForce := s.current.Load()
	if candidate.same(inForce.recipe) {
		s.note(inForce, candidate.revision)
		return
	}
	if s.refused != nil && candidate.same(*s.refused) {
		return // it was rolled back, or refused, and nothing but its surroundings has changed
	}
	if err := s.try(ctx, candidate); err != nil {
		s.refused = &candidate
		s.refuse(ctx, err)
		return
	}
	s.previous, s.refused = &inForce.recipe, nil
	s.replaced(ctx, swapInForce, inForce, "")
}

// try puts a candidate in force if it can be used in this slot.
func (s *slot) try(ctx context.Context, candidate recipe) error {
	inForce := s.current.Load()
	v, err := s.host.newVersion(ctx, s.name, s.args, candidate, s.handle)
	if err != nil {
		return err
	}
	if err := sameInterfaces(ctx, inForce, v); err != nil {
		v.pool.retire()
		return err
	}
	inForce.forgetInfo(s.args.GuestConfigMap)
	s.putInForce(v)
	s.starting.Lock()
	s.outgoing = append(s.outgoing, inForce)
	s.starting.Unlock()
	s.refusal = ""
	return nil
}

// sameInterfaces holds a candidate to what kube-scheduler asked at its start and never asks again: at which points to
// call, and which events wake a rejected pod.
func sameInterfaces(ctx context.Context, inForce, candidate *version) error {
	if inForce.points != candidate.points {
		return fmt.Errorf("it exports other extension points (%v) than the module in force (%v); restart the scheduler to change them",
			candidate.points.names(), inForce.points.names())
	}
	before, err1 := inForce.events(ctx)
	now, err2 := candidate.events(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !reflect.DeepEqual(before, now) {
		return errors.New("it wants other events than the module in force; restart the scheduler to change them")
	}
	return nil
}

// putInForce lets the next cycle begin with this version. Cycles that have begun end with the one they began with.
func (s *slot) putInForce(v *version) {
	v.onTrap = s.trapped
	v.showInfo(s.args.GuestConfigMap)
	s.current.Store(v)
}

// retireOutgoing frees the versions before the one with which a cycle begins now. Its caller holds starting.
func (s *slot) retireOutgoing() {
	for _, old := range s.outgoing {
		old.pool.retire()
	}
	s.outgoing = nil
}

// trapWindow is when the current version trapped last.
type trapWindow struct {
	mu    sync.Mutex
	times []time.Time
}

const (
	// trapsToRollBack within trapsWithin: one trap may be one strange pod, three in a minute are the module.
	trapsToRollBack = 3
	trapsWithin     = time.Minute
)

// add notes a trap and says whether there were too many.
func (w *trapWindow) add(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times = append(w.times, now)
	if len(w.times) > trapsToRollBack {
		w.times = w.times[1:]
	}
	if len(w.times) < trapsToRollBack || now.Sub(w.times[0]) > trapsWithin {
		return false
	}
	w.times = nil
	return true
}

// trapped is called from scheduling goroutines, which do not wait for a module to be loaded.
func (s *slot) trapped() {
	if s.traps.add(s.host.clock.Now()) {
		go s.rollBack(context.Background())
	}
}

// rollBack puts the version before in force again. Without one, the module goes on trapping: its pods' cycles fail with
// its name, and whoever replaces it helps.
func (s *slot) rollBack(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	bad := s.current.Load()
	if s.previous == nil {
		klog.Background().Error(nil, "A plugin traps again and again, and there is no version before it", "plugin", s.name, "digest", bad.module.Digest)
		return
	}
	if err := s.try(ctx, *s.previous); err != nil {
		s.refuse(ctx, fmt.Errorf("rolling back: %w", err))
		return
	}
	s.previous, s.refused = nil, &bad.recipe
	s.replaced(ctx, swapRolledBack, bad, fmt.Sprintf(" because that trapped %d times within %v", trapsToRollBack, trapsWithin))
}

func (s *slot) replaced(ctx context.Context, result string, old *version, why string) {
	now := s.current.Load()
	swapsTotal.WithLabelValues(s.name, result).Inc()
	klog.FromContext(ctx).Info("Replaced plugin", "plugin", s.name, "result", result, "before", old.module.Digest,
		"now", now.module.Digest, "revision", now.recipe.revision)
	s.event(v1.EventTypeNormal, "PluginReplaced", fmt.Sprintf("Plugin %s: %s is in force instead of %s%s",
		s.name, now.module.ShortDigest(), old.module.ShortDigest(), why))
	s.activateRejected(ctx)
}

// refuse says why nothing changes, once for each reason: any change in a folder makes all that is in it be looked at.
func (s *slot) refuse(ctx context.Context, reason error) {
	if reason.Error() == s.refusal {
		return
	}
	s.refusal = reason.Error()
	swapsTotal.WithLabelValues(s.name, swapRefused).Inc()
	inForce := s.current.Load()
	klog.FromContext(ctx).Error(reason, "Refused a candidate for a plugin; the version in force stays", "plugin", s.name, "inForce", inForce.module.Digest)
	s.event(v1.EventTypeWarning, "PluginRefused", fmt.Sprintf("Plugin %s: %v. %s stays in force", s.name, reason, inForce.module.ShortDigest()))
}

// event is about the profile, which is no object of the API; events of such things stand in namespace default.
func (s *slot) event(kind, reason, note string) {
	recorder := s.handle.EventRecorder()
	if recorder == nil {
		return
	}
	profile := &v1.ObjectReference{APIVersion: "kubescheduler.config.k8s.io/v1", Kind: "KubeSchedulerProfile", Name: s.profile()}
	recorder.Eventf(profile, nil, kind, reason, "Scheduling", "%s", note)
}

// profile is the name of the slot's profile; handles outside a scheduler have none.
func (s *slot) profile() string {
	if named, ok := s.handle.(interface{ ProfileName() string }); ok {
		return named.ProfileName()
	}
	return ""
}

// activateRejected wakes the pods that wait: the new version may let them pass, and no event of the cluster tells
// kube-scheduler so. It would try them again after five minutes.
func (s *slot) activateRejected(ctx context.Context) {
	factory := s.handle.SharedInformerFactory()
	if factory == nil {
		return
	}
	all, err := factory.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		klog.FromContext(ctx).Error(err, "Rejected pods wait for the next event", "plugin", s.name)
		return
	}
	waiting := map[string]*v1.Pod{}
	for _, pod := range all {
		if pod.Spec.NodeName == "" && pod.Spec.SchedulerName == s.profile() {
			waiting[pod.Namespace+"/"+pod.Name] = pod
		}
	}
	s.handle.Activate(klog.FromContext(ctx), waiting)
}

// note takes over a revision of the ConfigMap that changes nothing for the guest.
func (s *slot) note(inForce *version, revision string) {
	if inForce.recipe.revision == revision {
		return
	}
	inForce.forgetInfo(s.args.GuestConfigMap)
	inForce.recipe.revision = revision
	inForce.showInfo(s.args.GuestConfigMap)
}

func (v *version) showInfo(configMap string) {
	pluginInfo.WithLabelValues(v.plugin, v.module.Digest, "Active").Set(1)
	if v.recipe.revision != "" {
		configInfo.WithLabelValues(v.plugin, configMap, v.recipe.revision).Set(1)
	}
}

func (v *version) forgetInfo(configMap string) {
	pluginInfo.DeleteLabelValues(v.plugin, v.module.Digest, "Active")
	configInfo.DeleteLabelValues(v.plugin, configMap, v.recipe.revision)
}
