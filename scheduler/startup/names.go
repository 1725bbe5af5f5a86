// Package startup finds out, before kube-scheduler's own command runs, which plugins its configuration wants.
package startup

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
)

// GuestNames are the names of the plugins that the configuration file on this command line gives a guestURL to, each
// once, whatever number of profiles use it.
//
// kube-scheduler knows a plugin only when it was registered before the configuration is read, so the file is read
// here first. What is wrong with it is left for kube-scheduler's own command to say, which names the file.
func GuestNames(args []string) []string {
	path := configPath(args)
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		return nil
	}
	parsed, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		return nil
	}
	return guestNames(parsed)
}

func configPath(args []string) string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.ParseErrorsWhitelist.UnknownFlags = true
	flags.Usage = func() {}
	path := flags.String("config", "", "")
	if err := flags.Parse(args); err != nil {
		return ""
	}
	return *path
}

func guestNames(parsed *config.KubeSchedulerConfiguration) []string {
	var names []string
	for _, profile := range parsed.Profiles {
		for _, plugin := range profile.PluginConfig {
			if hasGuest(plugin.Args) && !slices.Contains(names, plugin.Name) {
				names = append(names, plugin.Name)
			}
		}
	}
	return names
}

// hasGuest asks only for the key. A plugin whose args are wrong in another way is registered all the same, so that
// its slot refuses them with the field's name.
func hasGuest(args runtime.Object) bool {
	unknown, ok := args.(*runtime.Unknown)
	if !ok {
		return false
	}
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(unknown.Raw)).Decode(&fields); err != nil {
		return false
	}
	_, ok = fields["guestURL"]
	return ok
}
