package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	realclock "k8s.io/utils/clock"

	"weir.dev/scheduler/module"
	"weir.dev/scheduler/pluginhost"
)

// swaps is how long it takes from the replacement of a module's file to the first cycle that begins with the new one, by
// the wall clock, in milliseconds. Cycles begin all the time, so it is the host's time: seeing the file, reading and
// checking the module, compiling it, trying it out.
type swaps struct {
	Guest string  `json:"guest"`
	Ms    *spread `json:"ms"`
	Swaps int     `json:"swaps"`
}

const swapsMeasured = 40

// measureSwaps replaces a packed module by itself with another word in a section that nobody reads.
func measureSwaps(ctx context.Context, plugins, guest string, handle framework.Handle) (measured swaps, err error) {
	packed, err := os.ReadFile(filepath.Join(plugins, "packed", guest+".wasm"))
	if err != nil {
		return swaps{}, err
	}
	folder, err := os.MkdirTemp("", "weir-bench-swap-")
	if err != nil {
		return swaps{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path := filepath.Join(folder, "guest.wasm")
	if err := os.WriteFile(path, packed, 0o600); err != nil {
		return swaps{}, err
	}
	host := pluginhost.NewHost(realclock.RealClock{}, 0)
	plugin, err := host.New(ctx, guest, pluginhost.Args{GuestURL: "file://" + path, LogSeverity: errorsOnly}, handle)
	if err != nil {
		return swaps{}, err
	}
	defer plugin.(io.Closer).Close()
	var took []float64
	for swap := range swapsMeasured {
		next := withSection(packed, "swap", fmt.Sprint(swap))
		if err := os.WriteFile(path+".new", next, 0o600); err != nil {
			return swaps{}, err
		}
		start := time.Now()
		if err := os.Rename(path+".new", path); err != nil {
			return swaps{}, err
		}
		digest := module.Short(module.DigestOf(next))
		if err := awaitInForce(ctx, host, plugin, digest); err != nil {
			return swaps{}, fmt.Errorf("swap %d: %w", swap, err)
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	return swaps{Guest: guest, Ms: spreadOf(took), Swaps: len(took)}, nil
}

// awaitInForce begins one cycle after the other until one begins with this version.
func awaitInForce(ctx context.Context, host *pluginhost.Host, plugin framework.Plugin, digest string) error {
	pod := podFor(plugin.Name())
	for limit := time.After(time.Minute); ; {
		if strings.HasPrefix(versionOf(ctx, host, plugin, pod), digest) {
			return nil
		}
		select {
		case <-limit:
			return fmt.Errorf("%s is not in force after a minute", digest)
		case <-time.After(100 * time.Microsecond):
		}
	}
}

func versionOf(ctx context.Context, host *pluginhost.Host, plugin framework.Plugin, pod *v1.Pod) string {
	state := upstream.NewCycleState()
	plugin.(framework.PreFilterPlugin).PreFilter(ctx, state, pod, nil)
	return host.PlacedBy(state)[plugin.Name()]
}

// withSection is the module with one more custom section, whose name and content have less than 60 bytes together.
func withSection(module []byte, name, content string) []byte {
	section := append([]byte{byte(len(name))}, name+content...)
	return append(append(append([]byte{}, module...), 0, byte(len(section))), section...)
}

func (s swaps) String() string {
	return fmt.Sprintf("%-22s %8.1f ms (%.1f to %.1f) from the file's replacement to the first cycle with it, %d times",
		s.Guest, s.Ms.Median, s.Ms.Min, s.Ms.Max, s.Swaps)
}
