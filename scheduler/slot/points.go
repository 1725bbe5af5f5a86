package slot

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir.dev/scheduler/module"
)

// points are the extension points at which kube-scheduler calls a module.
type points struct {
	enqueue, preFilter, preFilterExtensions, filter, postFilter, preScore, score, normalizeScore bool

	// lifecycle is reserve, unreserve, permit, prebind, bind and postbind.
	lifecycle bool
}

// upstreamTraps are the exports that the extension (as of the version in go.mod) cannot run safely, and why. They are
// properties of the extension, not of a module, so a module is refused for having them unless its slot names them.
var upstreamTraps = map[string]string{
	"normalizescore": "scores come back in a random order, and a trap ends the process",
	"reserve":        "its unreserve runs the scheduling instance from a binding goroutine",
	"unreserve":      "it runs the scheduling instance from a binding goroutine",
	"permit":         "without postbind every pod leaks an instance",
	"prebind":        "two pods bound back to back without permit panic",
	"bind":           "two pods bound back to back without permit panic",
	"postbind":       "two pods bound back to back without permit panic",
}

func unsafePoints() []string {
	return slices.Sorted(maps.Keys(upstreamTraps))
}

// pointsOf reads the module's exports. It refuses what the extension would load and then not call, or call unsafely.
func pointsOf(m *module.Module, named []string) (points, error) {
	has := m.Exports
	p := points{
		enqueue:             has["enqueue"],
		preFilter:           has["prefilter"],
		preFilterExtensions: has["addpod"] || has["removepod"],
		filter:              has["filter"],
		postFilter:          has["postfilter"],
		preScore:            has["prescore"],
		score:               has["score"],
		normalizeScore:      has["normalizescore"],
		lifecycle: has["reserve"] || has["unreserve"] || has["permit"] ||
			has["prebind"] || has["bind"] || has["postbind"],
	}
	for _, point := range unsafePoints() {
		if has[point] && !slices.Contains(named, point) {
			return p, fmt.Errorf("it exports %s, which the extension cannot run safely (%s); name it in args.unsafePoints to take that risk",
				point, upstreamTraps[point])
		}
	}
	switch {
	case p.postFilter && !p.filter:
		return p, fmt.Errorf("it exports postfilter without filter, and would never be called there")
	case p.preScore && !p.score:
		return p, fmt.Errorf("it exports prescore without score, and would never be called there")
	case !p.preFilter && !p.filter && !p.score && !p.lifecycle:
		return p, fmt.Errorf("it exports none of prefilter, filter, score%s: there is nothing to call", exported(has))
	}
	return p, nil
}

func exported(has map[string]bool) string {
	if len(has) == 0 {
		return " (it exports no functions)"
	}
	return fmt.Sprintf(" (it exports %s)", strings.Join(slices.Sorted(maps.Keys(has)), ", "))
}

// names are for messages.
func (p points) names() []string {
	var all []string
	for _, each := range []struct {
		has  bool
		name string
	}{
		{p.enqueue, "enqueue"}, {p.preFilter, "prefilter"}, {p.preFilterExtensions, "addpod"}, {p.filter, "filter"},
		{p.postFilter, "postfilter"}, {p.preScore, "prescore"}, {p.score, "score"}, {p.normalizeScore, "normalizescore"},
		{p.lifecycle, "reserve to postbind"},
	} {
		if each.has {
			all = append(all, each.name)
		}
	}
	return all
}
