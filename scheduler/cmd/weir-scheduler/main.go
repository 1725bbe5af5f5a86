// weir-scheduler is upstream kube-scheduler, all its flags and configuration included, with plugins that are
// WebAssembly modules. It decides nothing about pods and nodes: the modules do.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the API client
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

	"weir.dev/scheduler/slot"
	"weir.dev/scheduler/startup"
)

func main() {
	var plugins []app.Option
	for _, name := range startup.GuestNames(os.Args[1:]) {
		plugins = append(plugins, app.WithPlugin(name, slot.Factory(name)))
	}
	os.Exit(cli.Run(app.NewSchedulerCommand(plugins...)))
}
