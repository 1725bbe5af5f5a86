package guest

import (
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// Point is an extension point: an export of a module that its host calls.
type Point int

// The extension points.
const (
	Enqueue Point = iota
	PreFilter
	AddPod
	RemovePod
	Filter
	PostFilter
	PreScore
	Score
	NormalizeScore
	Reserve
	Unreserve
	Permit
	PreBind
	Bind
	PostBind
	pointCount
)

// noResult is of exports that answer nothing.
const noResult api.ValueType = 0

var points = [pointCount]struct {
	export string
	result api.ValueType
}{
	Enqueue:        {"enqueue", noResult},
	PreFilter:      {"prefilter", api.ValueTypeI32},
	AddPod:         {"addpod", api.ValueTypeI32},
	RemovePod:      {"removepod", api.ValueTypeI32},
	Filter:         {"filter", api.ValueTypeI32},
	PostFilter:     {"postfilter", api.ValueTypeI64},
	PreScore:       {"prescore", api.ValueTypeI32},
	Score:          {"score", api.ValueTypeI64},
	NormalizeScore: {"normalizescore", api.ValueTypeI32},
	Reserve:        {"reserve", api.ValueTypeI32},
	Unreserve:      {"unreserve", noResult},
	Permit:         {"permit", api.ValueTypeI64},
	PreBind:        {"prebind", api.ValueTypeI32},
	Bind:           {"bind", api.ValueTypeI32},
	PostBind:       {"postbind", noResult},
}

// Points are all extension points.
func Points() []Point {
	all := make([]Point, pointCount)
	for point := range all {
		all[point] = Point(point)
	}
	return all
}

// Export is the name of the module's export.
func (p Point) Export() string { return points[p].export }

// String is the same, for messages.
func (p Point) String() string { return p.Export() }

func (p Point) checkSignature(function api.FunctionDefinition) error {
	var want []api.ValueType
	if result := points[p].result; result != noResult {
		want = []api.ValueType{result}
	}
	if len(function.ParamTypes()) == 0 && slices.Equal(function.ResultTypes(), want) {
		return nil
	}
	return fmt.Errorf("its export %s is (%s) → (%s); expected () → (%s)",
		p, names(function.ParamTypes()), names(function.ResultTypes()), names(want))
}

func names(types []api.ValueType) string {
	text := ""
	for i, each := range types {
		if i > 0 {
			text += " "
		}
		text += api.ValueTypeName(each)
	}
	return text
}
