package pluginhost

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
)

// call runs one call of a module on an instance of its own, and makes an answer that kube-scheduler can bear out of
// whatever happens: a trap of the module, a code or a score that its point does not have. It says also whether the module
// looked at nodes other than the one that the call is about.
func (v *version) call(at guest.Point, scope callScope, pod *podView, fill func(*guest.Call)) (_ guest.Answer, _ *framework.Status, readOtherNode bool) {
	start := time.Now()
	taken, err := v.pool.take()
	if err != nil {
		return guest.Answer{}, framework.AsStatus(fmt.Errorf("plugin %s: %w", v.plugin, explained(err, v.module))), false
	}
	// Copied, for the instance goes to another caller.
	var answer guest.Answer
	given, err := taken.ask(at, scope, pod, fill)
	if given != nil {
		answer = *given
	}
	readOtherNode = taken.nodes.readOtherNode
	status, fault := v.judged(at, &answer, err)
	if err != nil {
		v.pool.discard(taken)
	} else {
		v.pool.giveBack(taken)
	}
	if m := v.metrics[at]; m != nil {
		m.answered(status.Code())
		m.took(start)
		if err != nil {
			m.trapped()
		}
	}
	if status.Code() == framework.Error {
		status = framework.AsStatus(fmt.Errorf("plugin %s (%s) at %s: %w", v.plugin, v.module.ShortDigest(), at, status.AsError()))
	}
	if fault && v.onFault != nil {
		v.onFault(v, v.kindOf(pod), fmt.Sprintf("at %s: %v", at, status.AsError()))
	}
	return answer, status, readOtherNode
}

// judged makes a status of an answer, and says whether it is a fault of the module: what it does must not be held against
// the cluster, nor stop the cycles of every pod.
func (v *version) judged(at guest.Point, answer *guest.Answer, trap error) (_ *framework.Status, fault bool) {
	if trap != nil {
		return framework.AsStatus(explained(trap, v.module)), true
	}
	code := codeOf(at, answer)
	switch {
	case code < framework.Success || code > framework.Pending:
		return framework.AsStatus(fmt.Errorf("the module answered status code %d, which does not exist (%s)", code, answer.Reason)), true
	case !slices.Contains(allowedCodes[at], code):
		return framework.AsStatus(fmt.Errorf("the module answered %s, which is no answer at this point (%s)", code, answer.Reason)), true
	case at == guest.Score && code == framework.Success && (int64(answer.High()) < framework.MinScore || int64(answer.High()) > framework.MaxScore):
		return framework.AsStatus(fmt.Errorf("the module answered score %d; expected %d to %d", answer.High(), framework.MinScore, framework.MaxScore)), true
	case code == framework.Success:
		return nil, false
	case code == framework.Error:
		return framework.AsStatus(errors.New(v.reason(answer))), false
	default:
		return framework.NewStatus(code, v.reason(answer)), false
	}
}

// reason is a module's own words, as text.
func (v *version) reason(answer *guest.Answer) string {
	if v.rawReasons {
		return answer.Reason
	}
	return strings.ToValidUTF8(answer.Reason, "?")
}

// codeOf is the status code in an answer. Points that return nothing have succeeded.
func codeOf(at guest.Point, answer *guest.Answer) framework.Code {
	switch at {
	case guest.Enqueue, guest.Unreserve, guest.PostBind:
		return framework.Success
	case guest.Permit:
		return framework.Code(answer.High())
	default:
		return framework.Code(answer.Code())
	}
}

// allowedCodes are the status codes that kube-scheduler takes at each point. With any other it fails the cycle, and so
// every pod's.
var allowedCodes = func() map[guest.Point][]framework.Code {
	const (
		success, failure, skip, wait = framework.Success, framework.Error, framework.Skip, framework.Wait
		rejected, unresolvable       = framework.Unschedulable, framework.UnschedulableAndUnresolvable
		pending                      = framework.Pending
	)
	verdict := []framework.Code{success, failure, rejected, unresolvable}
	return map[guest.Point][]framework.Code{
		guest.Enqueue:        {success},
		guest.PreFilter:      append([]framework.Code{skip, pending}, verdict...),
		guest.AddPod:         verdict,
		guest.RemovePod:      verdict,
		guest.Filter:         verdict,
		guest.PostFilter:     verdict,
		guest.PreScore:       {success, failure, skip},
		guest.Score:          {success, failure},
		guest.NormalizeScore: {success, failure},
		guest.Reserve:        append([]framework.Code{pending}, verdict...),
		guest.Unreserve:      {success},
		guest.Permit:         append([]framework.Code{wait, pending}, verdict...),
		guest.PreBind:        append([]framework.Code{pending}, verdict...),
		guest.Bind:           append([]framework.Code{skip, pending}, verdict...),
		guest.PostBind:       {success},
	}
}()
