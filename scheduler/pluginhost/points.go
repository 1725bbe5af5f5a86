package pluginhost

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

// pointsOf reads the module's exports. It refuses what would be loaded and then not called.
func pointsOf(m *module.Module) (points, error) {
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
	switch {
	case p.postFilter && !p.filter:
		return p, fmt.Errorf("it exports postfilter without filter, and would never be called there")
	case p.normalizeScore && !p.score:
		return p, fmt.Errorf("it exports normalizescore without score, and would never be called there")
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
