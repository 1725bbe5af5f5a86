package slot

import (
	"context"
	"fmt"
	"time"

	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// call runs one call of the extension on an instance of its own, and makes an answer that kube-scheduler can bear out
// of whatever happens: a panic of the extension, a trap of the module, a code that does not exist. It says also whether
// the module looked at nodes other than the one that the call is about.
func (v *version) call(ctx context.Context, at point, sight sight, run func(*instance) *framework.Status) (_ *framework.Status, strayed bool) {
	start := time.Now()
	taken, err := v.pool.take(ctx)
	if err != nil {
		return framework.AsStatus(fmt.Errorf("plugin %s: %w", v.plugin, err)), false
	}
	taken.handle.sight, taken.handle.strayed = sight, false
	status, broken := guarded(taken, run)
	strayed = taken.handle.strayed
	if broken {
		status = framework.AsStatus(taken.guest.explained(v.module, status.AsError()))
		v.pool.discard(taken)
	} else {
		v.pool.giveBack(taken)
	}
	status = checkedCode(status)
	if m := v.metrics[at]; m != nil {
		m.answered(status.Code())
		m.took(start)
		if broken {
			m.trapped()
		}
	}
	if broken && v.onTrap != nil {
		v.onTrap(v, fmt.Sprintf("at %s: %v", at, status.AsError()))
	}
	if status.Code() == framework.Error {
		status = framework.AsStatus(fmt.Errorf("plugin %s (%s) at %s: %w", v.plugin, v.module.ShortDigest(), at, status.AsError()))
	}
	return status, strayed
}

// guarded says also whether the instance is broken: a module that trapped is left in the middle of something.
func guarded(i *instance, run func(*instance) *framework.Status) (status *framework.Status, broken bool) {
	defer func() {
		if recovered := recover(); recovered != nil {
			status, broken = framework.AsStatus(fmt.Errorf("panic: %v", recovered)), true
		}
	}()
	status = run(i)
	return status, trapped(status)
}

// trapped tells a trap from an error that the guest answered. The extension wraps the former as a Go error and builds
// the latter from code and reason. Of a wrapped error a Status returns the same value each time, of a built one a new one.
func trapped(status *framework.Status) bool {
	err := status.AsError()
	return status.Code() == framework.Error && err == status.AsError()
}

// checkedCode refuses a code that kube-scheduler does not know: it would index an array with it.
func checkedCode(status *framework.Status) *framework.Status {
	if code := status.Code(); code < framework.Success || code > framework.Pending {
		return framework.AsStatus(fmt.Errorf("the module answered status code %d, which does not exist (%s)", code, status.Message()))
	}
	return status
}
