package slot

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

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

// pool hands out instances of one module, each to one caller at a time.
//
// The extension serialises the calls of one instance behind a mutex; several instances let kube-scheduler's parallel
// calls run in parallel. A guest that remembers things between the calls of a cycle must find them again, so a
// module that does not declare itself pure has a single instance, which is what the extension itself offers.
type pool struct {
	build func(context.Context) (*instance, error)

	// calls has room for one token per call that may run at once.
	calls chan struct{}

	mu      sync.Mutex
	idle    []*instance // the last one given back is the next one taken: its memory is warm
	retired bool
}

// newPool builds the first instance at once, so that a module that cannot be loaded is refused at start. The others are
// built when calls meet.
func newPool(ctx context.Context, name string, of recipe, logSeverity int32, handle framework.Handle, views *guestview.Cache) (*pool, error) {
	config := wasm.PluginConfig{GuestConfig: of.config, LogSeverity: logSeverity}
	p := &pool{
		build: func(ctx context.Context) (*instance, error) {
			return instantiate(ctx, name, of.module, config, &guestHandle{Handle: handle, views: views})
		},
		calls: make(chan struct{}, instances(of.module)),
	}
	first, err := p.build(ctx)
	if err != nil {
		return nil, err
	}
	p.idle = append(p.idle, first)
	return p, nil
}

// instances is how many calls of a module can run at once.
func instances(m *module.Module) int {
	if !m.Pure {
		return 1
	}
	return runtime.GOMAXPROCS(0)
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

// take waits until it may have an instance. Whoever takes one gives it back, or discards it.
func (p *pool) take(ctx context.Context) (*instance, error) {
	p.calls <- struct{}{}
	if idle := p.pop(); idle != nil {
		return idle, nil
	}
	// Without the cycle's end: the module outlives the call that happens to build it.
	built, err := p.build(context.WithoutCancel(ctx))
	if err != nil {
		<-p.calls
		return nil, err
	}
	return built, nil
}

func (p *pool) pop() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	popped := p.idle[last]
	p.idle = p.idle[:last]
	return popped
}

func (p *pool) giveBack(i *instance) {
	i.handle.sight = outsideCycle
	p.mu.Lock()
	if p.retired {
		i.close()
	} else {
		p.idle = append(p.idle, i)
	}
	p.mu.Unlock()
	<-p.calls
}

// discard drops an instance that trapped: its memory is in the middle of something, and the extension would go on
// with it. The next caller builds a new one.
func (p *pool) discard(i *instance) {
	i.close()
	<-p.calls
}

// retire frees the idle instances, and those in flight when they come back. A call that comes later still works, on an
// instance that is built for it and freed after it.
func (p *pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	for _, idle := range p.idle {
		idle.close()
	}
	p.idle = nil
}
