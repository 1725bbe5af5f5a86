// weir-scheduler is upstream kube-scheduler, all its flags and configuration included, with plugins that are
// WebAssembly modules. It decides nothing about pods and nodes: the modules do.
package main

import (
	"fmt"
	"os"
	"strconv"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the API client
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/binder"
	"weir.dev/scheduler/pluginhost"
	"weir.dev/scheduler/preemption"
	"weir.dev/scheduler/startup"
)

// recheckVariable overrides of how many remembered answers of a plugin one is asked for again: tests set it to 1. It is
// no flag, because the flags are kube-scheduler's, all of them and no others.
const recheckVariable = "WEIR_RECHECK_ONE_IN"

func main() {
	startup.BoundMemory()
	host := pluginhost.NewHost(clock.RealClock{}, recheckOneIn())
	host.ReportAs(startup.Identity(os.Args[1:], hostname()))
	reach := new(startup.Reach)
	plugins := []app.Option{
		app.WithPlugin(binder.Name, binder.Factory(host.PlacedBy)),
		app.WithPlugin(preemption.Name, preemption.Factory()),
	}
	for _, name := range startup.GuestNames(os.Args[1:]) {
		plugins = append(plugins, app.WithPlugin(name, reach.Before(host.Factory(name))))
	}
	os.Exit(cli.Run(app.NewSchedulerCommand(plugins...)))
}

// hostname is empty where the kernel does not know it; the report then has another name.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func recheckOneIn() uint64 {
	text, set := os.LookupEnv(recheckVariable)
	if !set {
		return pluginhost.RecheckOneIn
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is %q; expected a whole number, 0 for never\n", recheckVariable, text)
		os.Exit(1)
	}
	return number
}
