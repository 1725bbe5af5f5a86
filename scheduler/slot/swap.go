package slot

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// What becomes of a candidate, as weir_plugin_swaps_total and the report have it.
const (
	swapInForce    = "InForce"
	swapRefused    = "Refused"
	swapRolledBack = "RolledBack"
)

// reload tries what is at the sources now, if that is not what is in force. A candidate that cannot be used changes
// nothing: the version in force stays, and an event, a metric, the report and the log say why.
func (s *slot) reload(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if ctx.Err() != nil {
		return
	}
	s.replaceBy(ctx, s.wanted(ctx))
	s.reloadShadow(ctx)
}

// wanted is what is at the sources. What cannot be read there, or was rolled back, is wanted as it is in force: a module
// that is broken must not keep a configuration from coming into force, nor the other way round.
func (s *slot) wanted(ctx context.Context) (wanted recipe) {
	inForce := s.current.Load()
	var errs [2]error
	switch wanted.module, errs[0] = s.sources.readModule(ctx); {
	case errs[0] != nil, wanted.module.Digest == s.rolledBack:
		wanted.module = inForce.module
	default:
		s.rolledBack = ""
	}
	if wanted.config, wanted.revision, errs[1] = s.sources.readConfig(ctx); errs[1] != nil {
		wanted.config, wanted.revision = inForce.recipe.config, s.revision
	}
	if err := errors.Join(errs[:]...); err != nil {
		s.refuse(ctx, "", err)
	} else if wanted.same(inForce.recipe) {
		s.refusal = refusal{} // if it goes wrong again, that is news
	}
	return wanted
}

// replaceBy puts what is wanted in force, or at least the wanted configuration with the module in force.
func (s *slot) replaceBy(ctx context.Context, wanted recipe) {
	inForce := s.current.Load()
	if wanted.same(inForce.recipe) {
		s.noteRevision(wanted.revision)
		return
	}
	switch why := s.refused.of(wanted); {
	case why == nil:
		err := s.try(ctx, wanted)
		if err == nil {
			s.previous = &inForce.recipe
			s.replaced(ctx, swapInForce, inForce, "")
			return
		}
		s.refused.add(wanted, err)
		s.refuse(ctx, wanted.module.Digest, err)
	case s.refusal == refusal{}:
		// All was well meanwhile, so somebody has put it there again and waits for the answer.
		s.refuse(ctx, wanted.module.Digest, why)
	}
	if wanted.config != inForce.recipe.config && wanted.module.Digest != inForce.module.Digest {
		s.replaceBy(ctx, recipe{module: inForce.module, config: wanted.config, revision: wanted.revision})
	}
}

// try puts a candidate in force if it can be used in this slot.
func (s *slot) try(ctx context.Context, candidate recipe) error {
	v, err := s.prepare(ctx, candidate, s.guestsHandle())
	if err != nil {
		return err
	}
	inForce := s.current.Load()
	s.putInForce(ctx, v)
	s.noteRevision(candidate.revision)
	inForce.forgetInfo(s.mode())
	v.showInfo(s.mode())
	s.starting.Lock()
	s.outgoing = append(s.outgoing, inForce)
	s.starting.Unlock()
	s.refused, s.refusal = nil, refusal{}
	return nil
}

// prepare loads a candidate and does everything to it that can be done before it is in force.
func (s *slot) prepare(ctx context.Context, candidate recipe, handle framework.Handle) (*version, error) {
	v, err := s.host.newVersion(ctx, s.name, s.args, candidate, handle)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sameInterfaces(ctx, s.current.Load(), v), v.selfTestOnCaptured(ctx, s.host.told.Load())); err != nil {
		v.pool.retire()
		return nil, err
	}
	return v, nil
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
func (s *slot) putInForce(ctx context.Context, v *version) {
	v.onTrap = s.trapped
	s.current.Store(v)
	if s.muted {
		s.watch(ctx, v, s.args.GuestURL)
	}
}

// retireOutgoing frees the versions before the one with which a cycle begins now. Its caller holds starting.
func (s *slot) retireOutgoing() {
	for _, old := range s.outgoing {
		old.pool.retire()
	}
	s.outgoing = nil
}

// refusals are the recipes that were tried in vain since something was put in force, and why it was in vain.
type refusals map[[2]string]error

// mostRefusals keeps them from growing while somebody edits.
const mostRefusals = 100

func (r refusals) of(tried recipe) error { return r[[2]string{tried.module.Digest, tried.config}] }

func (r *refusals) add(tried recipe, why error) {
	if *r == nil || len(*r) >= mostRefusals {
		*r = refusals{}
	}
	(*r)[[2]string{tried.module.Digest, tried.config}] = why
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
func (s *slot) trapped(v *version, reason string) {
	s.history.trapped(s.host.clock.Now(), v.module.Digest, reason)
	s.host.changed()
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
		s.refuse(ctx, s.previous.module.Digest, fmt.Errorf("rolling back: %w", err))
		return
	}
	s.previous = nil
	why := fmt.Sprintf("because that trapped %d times within %v", trapsToRollBack, trapsWithin)
	s.refused.add(bad.recipe, fmt.Errorf("it was rolled back %s", why))
	if now := s.current.Load(); now.module.Digest != bad.module.Digest {
		s.rolledBack = bad.module.Digest
	}
	s.replaced(ctx, swapRolledBack, bad, " "+why)
}

func (s *slot) replaced(ctx context.Context, result string, old *version, why string) {
	now := s.current.Load()
	s.history.swapped(s.host.clock.Now(), result, old, now, strings.TrimPrefix(why, " "))
	s.host.changed()
	swapsTotal.WithLabelValues(s.name, result).Inc()
	klog.FromContext(ctx).Info("Replaced plugin", "plugin", s.name, "result", result, "before", old.module.Digest,
		"now", now.module.Digest)
	s.event(v1.EventTypeNormal, "PluginReplaced", fmt.Sprintf("Plugin %s: %s is in force instead of %s%s",
		s.name, now.module.ShortDigest(), old.module.ShortDigest(), why))
	s.activateRejected(ctx)
}

// refusal is what was said last, and of what; empty when nothing is wrong.
type refusal struct{ reason, found string }

// refuse says why nothing changes, once for each reason and each content of the source: any change in a folder makes all
// that is in it be looked at. The same words about something else are news, for whoever put it there waits for them.
func (s *slot) refuse(ctx context.Context, digest string, reason error) {
	said := refusal{reason.Error(), s.sources.found}
	if said == s.refusal {
		return
	}
	s.refusal = said
	s.history.refused(s.host.clock.Now(), digest, said.reason)
	s.complain(ctx, reason)
}

func (s *slot) complain(ctx context.Context, reason error) {
	s.host.changed()
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

// noteRevision takes over the resourceVersion of the ConfigMap whose content is in force.
func (s *slot) noteRevision(revision string) {
	if s.revision == revision {
		return
	}
	configInfo.DeleteLabelValues(s.name, s.args.GuestConfigMap, s.revision)
	if revision != "" {
		configInfo.WithLabelValues(s.name, s.args.GuestConfigMap, revision).Set(1)
	}
	s.revision = revision
	s.history.configured(revision)
	s.host.changed()
}

func (v *version) showInfo(mode string) {
	pluginInfo.WithLabelValues(v.plugin, v.module.Digest, mode).Set(1)
}
func (v *version) forgetInfo(mode string) {
	pluginInfo.DeleteLabelValues(v.plugin, v.module.Digest, mode)
}
