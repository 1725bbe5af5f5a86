package wasmtest

// Addresses in the memory of the guests below.
const (
	nameAt, nameLimit = 0, 512
	dataAt, dataLimit = 1024, 60000
)

func params(n int) []ValueType {
	types := make([]ValueType, n)
	for i := range types {
		types[i] = I32
	}
	return types
}

var (
	one  = []ValueType{I32}
	long = []ValueType{I64}
)

// Host gives the instructions that call the host functions a guest imports.
type Host struct {
	CurrentNodeName, Node, CurrentPod, Config, StatusReason Code
}

// WithHost is a module that imports what a pure guest may.
func WithHost() (*Module, Host) {
	m := New()
	return m, Host{
		CurrentNodeName: m.Import("k8s.io/scheduler", "currentNodeName", params(2), one),
		Node:            m.Import("k8s.io/api", "node", params(4), one),
		CurrentPod:      m.Import("k8s.io/scheduler", "currentPod", params(2), one),
		Config:          m.Import("k8s.io/scheduler", "get_config", params(2), one),
		StatusReason:    m.Import("k8s.io/scheduler", "result.status_reason", params(2), nil),
	}
}

// ReadCurrentNode leaves the length of the current node's bytes, which it puts at dataAt.
func (h Host) ReadCurrentNode() Code {
	return join(Const(nameAt), Const(nameAt), Const(nameLimit), h.CurrentNodeName, Const(dataAt), Const(dataLimit), h.Node)
}

// ReadNodeName leaves the length of what is told as the current node's name, which it puts at dataAt.
func (h Host) ReadNodeName() Code {
	return join(Const(dataAt), Const(dataLimit), h.CurrentNodeName)
}

// ReadPod leaves the length of the pod's bytes, which it puts at dataAt.
func (h Host) ReadPod() Code {
	return join(Const(dataAt), Const(dataLimit), h.CurrentPod)
}

// Answer takes the length of what is at dataAt, makes it the reason, and leaves the status code.
func (h Host) Answer(code int32) Code {
	return join(SetLocal, Const(dataAt), Local, h.StatusReason, Const(code))
}

// Pure makes a module declare itself pure.
func (m *Module) Pure() *Module {
	return m.Custom("weir.dev/guest", []byte(`{"abi":2,"plugin":"test","version":"0.0.0","points":[],"pure":true}`))
}

// Inline makes a module declare itself pure, and that it takes the node of a call in place of its name.
func (m *Module) Inline() *Module {
	return m.Custom("weir.dev/guest", []byte(`{"abi":2,"plugin":"test","version":"0.0.0","points":[],"pure":true,"inline":true}`))
}

// NodeEcho is a filter that answers Unschedulable with the bytes of the current node as the reason.
func NodeEcho() *Module {
	m, host := WithHost()
	return m.Func("filter", one, host.ReadCurrentNode(), host.Answer(2))
}

// PodEcho is a filter that answers Unschedulable with the bytes of the pod as the reason.
func PodEcho() *Module {
	m, host := WithHost()
	return m.Func("filter", one, host.ReadPod(), host.Answer(2))
}

func join(codes ...Code) Code {
	var out Code
	for _, code := range codes {
		out = append(out, code...)
	}
	return out
}
