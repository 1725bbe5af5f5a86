package slot

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// instance is one instance of the extension's plugin, with a handle of its own.
type instance struct {
	plugin framework.Plugin
	handle *guestHandle
	guest  *witness

	// pod is the one that a module which takes its nodes inline was told of last, and named is the node that the extension
	// is handed for its name; nil for any other module.
	pod   *v1.Pod
	named *framework.NodeInfo
}

// filter asks about a node as the view tells it.
func (i *instance) filter(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node *framework.NodeInfo, view *guestview.View) *framework.Status {
	if i.named != nil {
		i.named.Node().Name = i.inline(pod, view)
		node = i.named
	}
	return i.plugin.(framework.FilterPlugin).Filter(ctx, state, pod, node)
}

// score asks about a node as the view tells it.
func (i *instance) score(ctx context.Context, state *framework.CycleState, pod *v1.Pod, view *guestview.View) (int64, *framework.Status) {
	name := view.Info.Node().Name
	if i.named != nil {
		name = i.inline(pod, view)
	}
	return i.plugin.(framework.ScorePlugin).Score(ctx, state, pod, name)
}

// inline is the text in place of the node's name. The same pointer is the same content: nobody changes a Pod that was
// told, and as long as it is held here, no other one gets its address.
func (i *instance) inline(pod *v1.Pod, view *guestview.View) string {
	same := i.pod == pod
	i.pod = pod
	return view.Inline(same)
}

// witness learns which module of the runtime an instance is: the extension keeps that to itself, and tells the context
// that a module is compiled with of the call of its _start. A module without _start stays unknown.
type witness struct{ module api.Module }

// NewFunctionListener implements experimental.FunctionListenerFactory. Only _start is listened to, so that no call costs
// anything.
func (w *witness) NewFunctionListener(function api.FunctionDefinition) experimental.FunctionListener {
	if !slices.Contains(function.ExportNames(), "_start") {
		return nil
	}
	return experimental.FunctionListenerFunc(func(_ context.Context, module api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
		w.module = module
	})
}

// outOfFuelName is a global of a packed module that is not 0 when it has used up the fuel of a call.
const outOfFuelName = "weir_out_of_fuel"

// outOfFuel says whether the last trap came from the module's metering.
func (w *witness) outOfFuel() bool {
	if w.module == nil {
		return false
	}
	spent := w.module.ExportedGlobal(outOfFuelName)
	return spent != nil && spent.Get() != 0
}

// explained is a trap in the words of whoever has to do something about it.
func (w *witness) explained(m *module.Module, trap error) error {
	if trap == nil || !w.outOfFuel() {
		return trap
	}
	return fmt.Errorf("ran out of fuel, of which a call has %d; the module loops, or needs to be packed with more", m.FuelPerCall())
}

func (i *instance) close() {
	if closer, ok := i.plugin.(io.Closer); ok {
		_ = closer.Close() // it only frees memory, and the instance is not used again
	}
}

// instantiate lets the extension load the module. The extension panics where it should fail; that is an error here.
func instantiate(ctx context.Context, name string, m *module.Module, config wasm.PluginConfig, handle *guestHandle) (loaded *instance, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("loading %s: panic: %v", m.Source, recovered)
		}
	}()
	err = m.WithFile(func(url string) error {
		config.GuestURL = url
		guest := new(witness)
		plugin, err := wasm.NewFromConfig(experimental.WithFunctionListenerFactory(ctx, guest), name, config, handle)
		if err != nil {
			return fmt.Errorf("loading %s: %w", m.Source, guest.explained(m, err))
		}
		loaded = &instance{plugin: plugin, handle: handle, guest: guest}
		if m.Inline {
			loaded.named = framework.NewNodeInfo()
			loaded.named.SetNode(&v1.Node{})
		}
		return nil
	})
	return loaded, err
}
