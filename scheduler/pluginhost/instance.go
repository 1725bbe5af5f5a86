package pluginhost

import (
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
)

type uid = types.UID

// instance is one instance of a module, with what it may ask and do.
type instance struct {
	guest   *guest.Instance
	nodes   scopedNodes
	effects *effects
	call    guest.Call

	// inline says that the module takes its node in place of the node's name.
	inline bool

	// pod is the one that the module was asked about last, and inlinePod what it was told of one when it last took a node
	// inline: a module keeps its pod from one such call to the next, and at all other points reads it for that call alone.
	pod       *podView
	inlinePod *podContent

	// forgets says that the module keeps the pod of a cycle until the next prefilter, as TinyGo's SDK does.
	forgets bool
}

// instantiate makes an instance of a compiled module.
func instantiate(of *guest.Program, spec instanceSpec) (*instance, error) {
	made := &instance{effects: spec.effects, inline: spec.inline, forgets: spec.forgets && of.Exports(guest.PreFilter)}
	made.call.Nodes = &made.nodes
	var err error
	made.guest, err = of.Instantiate(guest.Settings{Config: spec.config, Severity: spec.logSeverity, Log: logAs(spec.effects.plugin)})
	return made, err
}

// instanceSpec is what the instances of a version have in common.
type instanceSpec struct {
	config      string
	logSeverity int32
	effects     *effects

	// inline and forgets are as in instance.
	inline, forgets bool
}

// logAs writes what guests log, with the plugin's name in front of their pairs.
func logAs(plugin string) func(int32, string, []string) {
	const warning, failure = 1, 2
	return func(severity int32, message string, pairs []string) {
		values := make([]any, 0, len(pairs)+2)
		if len(pairs)%2 != 0 {
			pairs = append(pairs, "")
		}
		for _, each := range pairs {
			values = append(values, each)
		}
		values = append(values, "guest", plugin)
		switch {
		case severity >= failure:
			klog.ErrorS(nil, message, values...)
		case severity == warning:
			klog.InfoS("Warning: "+message, values...)
		default:
			klog.InfoS(message, values...)
		}
	}
}

// ask calls an export about a pod, and about the node of the scope if there is one. What else the point tells is filled
// in.
func (i *instance) ask(at guest.Point, scope callScope, pod *podView, fill func(*guest.Call)) (*guest.Answer, error) {
	i.nodes.begin(scope)
	if i.call.Handle = i.effects; scope.trial {
		i.call.Handle = nil
	}
	i.call.Target, i.call.Filtered, i.call.Codes, i.call.Scores = "", nil, nil, nil
	i.call.Pod, i.call.NodeName = pod.message, i.named(at, scope.current, pod)
	if i.forgets && at != guest.PreFilter && at != guest.Enqueue && !i.pod.same(pod) {
		if _, err := i.guest.Call(guest.PreFilter, &i.call); err != nil {
			return nil, err
		}
	}
	if fill != nil {
		fill(&i.call)
	}
	i.pod = pod
	return i.guest.Call(at, &i.call)
}

// named is the text that currentNodeName tells: the node's name, or the node itself at the points that a module is asked
// about each node.
func (i *instance) named(at guest.Point, view *nodeview.View, pod *podView) string {
	switch {
	case view == nil:
		return ""
	case i.inline && (at == guest.Filter || at == guest.Score):
		// The same pointer is the same content, which never changes; as long as it is held here, no other gets its address.
		same := i.inlinePod == pod.podContent
		i.inlinePod = pod.podContent
		return view.Inline(same)
	default:
		return view.Name
	}
}

func (i *instance) close() { i.guest.Close() }
