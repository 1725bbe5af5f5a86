package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
)

// What becomes of a candidate, as weir_plugin_swaps_total and the report have it.
const (
	swapInForce    = "InForce"
	swapRefused    = "Refused"
	swapRolledBack = "RolledBack"
)

// reload tries what is at the sources now, if that is not what is in force, and says whether that is dealt with. A candidate
// that cannot be used changes nothing: the version in force stays, and an event, a metric, the report and the log say why.
//
// Reading and compiling take their time, and only the end of it holds the lock that a rollback takes.
func (s *slot) reload(ctx context.Context) (done bool) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	there := s.sources.read(ctx)
	if ctx.Err() != nil {
		return true
	}
	wanted := s.wanted(ctx, &there)
	settled := s.replaceBy(ctx, wanted)
	s.reloadShadow(ctx, &there)
	return settled && !there.incomplete()
}

// wanted is what is at the sources. What cannot be read there, or was rolled back, is wanted as it is in force: a module
// that is broken must not keep a configuration from coming into force, nor the other way round.
func (s *slot) wanted(ctx context.Context, there *found) (wanted spec) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	inForce := s.current.Load()
	s.swaps.mark = there.mark
	switch wanted.module = there.module; {
	case there.moduleErr != nil, wanted.module.Digest == s.swaps.rolledBack:
		wanted.module = inForce.module
	default:
		s.swaps.rolledBack = ""
	}
	if wanted.config, wanted.revision = there.config, there.revision; there.configErr != nil {
		wanted.config, wanted.revision = inForce.spec.config, s.swaps.revision
	}
	if err := errors.Join(there.moduleErr, there.configErr); err != nil {
		s.refuse(ctx, "", err)
	} else if wanted.same(inForce.spec) {
		s.swaps.refusal = refusal{} // if it goes wrong again, that is news
	}
	return wanted
}

// replaceBy puts what is wanted in force, or at least the wanted configuration with the module in force. It says whether
// that is settled: what failed for a passing reason is tried again.
func (s *slot) replaceBy(ctx context.Context, wanted spec) (settled bool) {
	inForce := s.current.Load()
	why, wanting := s.refusedBefore(ctx, wanted, inForce)
	if !wanting {
		return true
	}
	settled = true
	if why == nil {
		candidate, err := s.prepare(ctx, wanted, s.guestsHandle())
		if err == nil {
			return s.replace(ctx, inForce, candidate)
		}
		settled = !isPassing(err)
		s.noteFailure(ctx, wanted, err)
	}
	if wanted.config != inForce.spec.config && wanted.module.Digest != inForce.module.Digest {
		return s.replaceBy(ctx, spec{module: inForce.module, config: wanted.config, revision: wanted.revision}) && settled
	}
	return settled
}

// refusedBefore says why what is wanted was refused before, and whether it is anything else than what is in force.
func (s *slot) refusedBefore(ctx context.Context, wanted spec, inForce *version) (why error, wanting bool) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	if wanted.same(inForce.spec) {
		s.noteRevision(wanted.revision)
		return nil, false
	}
	if why = s.swaps.refused.of(wanted); why != nil && s.swaps.refusal == (refusal{}) {
		// All was well meanwhile, so it was put there again, and an answer is waited for.
		s.refuse(ctx, wanted.module.Digest, why)
	}
	return why, true
}

// noteFailure refuses what cannot be used: for good, unless the reason may pass.
func (s *slot) noteFailure(ctx context.Context, wanted spec, why error) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	if !isPassing(why) {
		s.swaps.refused.add(wanted, why)
	}
	s.refuse(ctx, wanted.module.Digest, why)
}

// passing is an error that may go away by itself: a full machine, a network.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

func isPassing(err error) bool {
	var reason passing
	return errors.As(err, &reason)
}

// replace puts a candidate in force in place of the version that it was prepared beside. Where that was rolled back
// meanwhile, the candidate may be what was rolled back, and everything is looked at again.
func (s *slot) replace(ctx context.Context, before, candidate *version) (settled bool) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	if s.current.Load() != before {
		candidate.discard()
		return false
	}
	s.putInForce(ctx, candidate)
	s.swaps.departed.add(s.swaps.previous)
	s.swaps.previous = before
	s.noteRevision(candidate.spec.revision)
	s.swaps.refused, s.swaps.refusal = nil, refusal{}
	s.replaced(ctx, swapInForce, before, "")
	return true
}

// prepare loads a candidate and does everything to it that can be done before it is in force.
func (s *slot) prepare(ctx context.Context, candidate spec, handle framework.Handle) (*version, error) {
	v, err := s.host.newVersion(ctx, s.name, s.args, candidate, handle)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sameInterfaces(s.current.Load(), v), v.selfTestOnCaptured(s.host.podView.Load())); err != nil {
		v.discard()
		return nil, err
	}
	return v, nil
}

// sameInterfaces holds a candidate to what kube-scheduler asked at its start and never asks again: at which points to
// call, and which events wake a rejected pod.
func sameInterfaces(inForce, candidate *version) error {
	if inForce.points != candidate.points {
		return fmt.Errorf("it exports other extension points (%v) than the module in force (%v); restart the scheduler to change them",
			candidate.points.names(), inForce.points.names())
	}
	before, err1 := inForce.events()
	now, err2 := candidate.events()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !reflect.DeepEqual(before, now) {
		return errors.New("it wants other events than the module in force; restart the scheduler to change them")
	}
	return nil
}

// putInForce lets the next cycle begin with this version. Cycles that have begun end with the one they began with. Its
// caller holds swaps.mu, but for the first version.
func (s *slot) putInForce(ctx context.Context, v *version) {
	v.onFault = s.faulted
	before := s.current.Swap(v)
	v.pool.open()
	if before != nil {
		before.forgetInfo(s.mode())
		s.cycles.starting.Lock()
		s.cycles.outgoing = append(s.cycles.outgoing, before)
		s.cycles.starting.Unlock()
	}
	v.showInfo(s.mode())
	s.swaps.keeper.put(&s.current)
	if s.shadowOnly {
		s.watch(ctx, v, s.args.GuestURL)
	}
}

// retireOutgoing frees the versions before the one with which a cycle begins now. Its caller holds starting.
func (s *slot) retireOutgoing() {
	current := s.current.Load()
	for _, old := range s.cycles.outgoing {
		if old != current { // a rollback may have put it in force again
			old.leave()
		}
	}
	s.cycles.outgoing = nil
}

// refusals are the specs that were tried in vain since something was put in force, and why it was in vain.
type refusals map[[2]string]error

// mostRefusals keeps them from growing while somebody edits.
const mostRefusals = 100

func (r refusals) of(tried spec) error { return r[[2]string{tried.module.Digest, tried.config}] }

func (r *refusals) add(tried spec, why error) {
	if *r == nil || len(*r) >= mostRefusals {
		*r = refusals{}
	}
	(*r)[[2]string{tried.module.Digest, tried.config}] = why
}

// faulted is called from scheduling goroutines, which do not wait for a module to be loaded. Only the version in force can be
// rolled back, and only for what it did itself: one that was replaced meanwhile has nothing to do with what is in force.
func (s *slot) faulted(v *version, kind, reason string) {
	s.swaps.history.trapped(s.host.clock.Now(), v.module.Digest, reason)
	s.host.changed()
	if v.faults.add(kind, errors.New(reason)) && s.current.Load() == v {
		go s.rollBack(context.Background(), v)
	}
}

// rollBack puts the version before in force again, which is kept for that: nothing is read or compiled. Without one, the
// module goes on trapping: its pods' cycles fail with its name, until it is replaced.
func (s *slot) rollBack(ctx context.Context, bad *version) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	if s.current.Load() != bad {
		return
	}
	if s.swaps.previous == nil {
		klog.Background().Error(nil, "A plugin traps again and again, and there is no version before it", "plugin", s.name, "digest", bad.module.Digest)
		return
	}
	sound := s.swaps.previous
	s.swaps.previous = nil
	s.swaps.departed.add(bad)
	s.putInForce(ctx, sound)
	s.noteRevision(sound.spec.revision)
	why := fmt.Sprintf("because that failed on %d kinds of pods within %v", kindsToRollBack, faultsWithin)
	s.swaps.refused, s.swaps.refusal = nil, refusal{}
	s.swaps.refused.add(bad.spec, fmt.Errorf("it was rolled back %s", why))
	if sound.module.Digest != bad.module.Digest {
		s.swaps.rolledBack = bad.module.Digest
	}
	s.replaced(ctx, swapRolledBack, bad, " "+why)
}

func (s *slot) replaced(ctx context.Context, result string, old *version, why string) {
	now := s.current.Load()
	s.swaps.history.swapped(s.host.clock.Now(), result, old, now, strings.TrimPrefix(why, " "))
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
	said := refusal{reason.Error(), s.swaps.mark}
	if said == s.swaps.refusal {
		return
	}
	s.swaps.refusal = said
	s.swaps.history.refused(s.host.clock.Now(), digest, said.reason)
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
	if s.swaps.revision == revision {
		return
	}
	configInfo.DeleteLabelValues(s.name, s.args.GuestConfigMap, s.swaps.revision)
	if revision != "" {
		configInfo.WithLabelValues(s.name, s.args.GuestConfigMap, revision).Set(1)
	}
	s.swaps.revision = revision
	s.swaps.history.configured(revision)
	s.host.changed()
}

func (v *version) showInfo(mode string) {
	pluginInfo.WithLabelValues(v.plugin, v.module.Digest, mode).Set(1)
}
func (v *version) forgetInfo(mode string) {
	pluginInfo.DeleteLabelValues(v.plugin, v.module.Digest, mode)
}
