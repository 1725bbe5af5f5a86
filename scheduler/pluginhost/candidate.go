package pluginhost

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/report"
)

// The modes of a slot, and of a module in weir_plugin_info and in the report.
const (
	// ModeActive is a module that decides.
	ModeActive = "Active"
	// ModeShadow is one that is only asked, beside the one that decides. A slot whose args have this mode answers as if
	// there were no plugin; what its module would have answered is compared with that.
	ModeShadow = "Shadow"
)

func (s *slot) mode() string {
	if s.shadowOnly {
		return ModeShadow
	}
	return ModeActive
}

// reloadShadow takes up the candidate that lies beside the module in force, if there is one. Its caller holds reloading.
func (s *slot) reloadShadow(ctx context.Context, there *found) {
	if s.shadowOnly {
		return // the slot's own module is the candidate
	}
	wanted, wanting := s.wantedShadow(ctx, there)
	if !wanting {
		return
	}
	candidate, err := s.prepare(ctx, wanted, silentHandle{s.handle})
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	if err != nil {
		if !isPassing(err) {
			s.swaps.refused.add(wanted, err)
		}
		s.refuseShadow(ctx, wanted.module.Digest, err)
		return
	}
	s.trial.refusal = refusal{}
	s.endShadow(ctx)
	s.watch(ctx, candidate, s.sources.shadowURL)
}

// wantedShadow is what to compare with the version in force, if that is not done already.
func (s *slot) wantedShadow(ctx context.Context, there *found) (wanted spec, wanting bool) {
	s.swaps.mu.Lock()
	defer s.swaps.mu.Unlock()
	inForce := s.current.Load()
	if there.candidateErr != nil {
		s.refuseShadow(ctx, "", there.candidateErr)
		return wanted, false
	}
	if there.candidate == nil || there.candidate.Digest == inForce.module.Digest {
		s.trial.refusal = refusal{} // if it goes wrong again, that is news
		s.endShadow(ctx)
		return wanted, false
	}
	wanted = spec{module: there.candidate, config: inForce.spec.config}
	if running := s.trial.shadow.Load(); running != nil && running.candidate.spec.same(wanted) && s.trial.against == inForce {
		return wanted, false
	}
	if why := s.swaps.refused.of(wanted); why != nil {
		s.refuseShadow(ctx, wanted.module.Digest, why)
		return wanted, false
	}
	return wanted, true
}

// watch compares a candidate with what is in force from now on.
func (s *slot) watch(ctx context.Context, candidate *version, source string) {
	if running := s.trial.shadow.Swap(s.startShadow(s.life, candidate, source)); running != nil {
		running.end()
		s.swaps.departed.add(running.candidate)
	}
	s.trial.against = s.current.Load()
	klog.FromContext(ctx).Info("Runs a candidate in the shadow", "plugin", s.name, "candidate", candidate.module.Digest)
	s.swaps.history.noted(s.host.clock.Now(), report.EventShadowed, candidate.module.Digest, "")
	s.host.changed()
}

func (s *slot) endShadow(ctx context.Context) {
	running := s.trial.shadow.Swap(nil)
	if running == nil {
		return
	}
	running.end()
	s.swaps.departed.add(running.candidate)
	sums := running.report()
	reason := fmt.Sprintf("%d of %d answers were different", sums.Disagreements, sums.Comparisons)
	klog.FromContext(ctx).Info("Ended the shadow of a plugin", "plugin", s.name, "candidate", sums.Digest, "because", reason)
	s.swaps.history.noted(s.host.clock.Now(), report.EventShadowEnded, sums.Digest, reason)
	s.host.changed()
}

// refuseShadow says why nothing is compared, once for each reason and candidate.
func (s *slot) refuseShadow(ctx context.Context, digest string, reason error) {
	s.endShadow(ctx)
	reason = fmt.Errorf("for the shadow: %w", reason)
	said := refusal{reason.Error(), digest}
	if said == s.trial.refusal {
		return
	}
	s.trial.refusal = said
	s.swaps.history.refused(s.host.clock.Now(), digest, said.reason)
	s.complain(ctx, reason)
}

// silentHandle is the scheduler's handle without the ways in which a guest could be noticed through it.
type silentHandle struct{ framework.Handle }

func (silentHandle) EventRecorder() events.EventRecorderLogger                                 { return nil }
func (silentHandle) GetWaitingPod(types.UID) framework.WaitingPod                              { return nil }
func (silentHandle) IterateOverWaitingPods(func(framework.WaitingPod))                         {}
func (silentHandle) RejectWaitingPod(types.UID) bool                                           { return false }
func (silentHandle) Activate(klog.Logger, map[string]*v1.Pod)                                  {}
func (silentHandle) AddNominatedPod(klog.Logger, framework.PodInfo, *framework.NominatingInfo) {}
func (silentHandle) DeleteNominatedPodIfExists(*v1.Pod)                                        {}
func (silentHandle) UpdateNominatedPod(klog.Logger, *v1.Pod, framework.PodInfo)                {}
