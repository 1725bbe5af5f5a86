package startup

import (
	"os"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"weir.dev/scheduler/report"
)

// The environment by which a pod's template tells the scheduler where it runs (the downward API). All are optional.
const (
	podName      = "POD_NAME"
	podNamespace = "POD_NAMESPACE"
	podUID       = "POD_UID"
)

// Identity is by which name this replica reports what it has in force: the pod's, or the host's where there is no pod.
// On one host several replicas may run, each on a port of its own, which is then part of the name.
func Identity(args []string, hostname string) report.Identity {
	name := os.Getenv(podName)
	if name == "" {
		name = hostname
	}
	if port := securePort(args); port != "" && port != "0" && port != defaultPort {
		name += "-" + port
	}
	identity := report.Identity{Replica: objectName(name)}
	if os.Getenv(podNamespace) == report.Namespace {
		identity.Pod, identity.PodUID = os.Getenv(podName), os.Getenv(podUID)
	}
	return identity
}

const defaultPort = "10259"

func securePort(args []string) string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.ParseErrorsWhitelist.UnknownFlags = true
	flags.Usage = func() {}
	port := flags.String("secure-port", "", "")
	if err := flags.Parse(args); err != nil {
		return ""
	}
	return *port
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// longestReplica leaves room for what is in front of it in an object's name.
const longestReplica = 200

// objectName makes any text the end of an object's name.
func objectName(text string) string {
	name := notInNames.ReplaceAllString(strings.ToLower(text), "-")
	if len(name) > longestReplica {
		name = name[len(name)-longestReplica:]
	}
	if name = strings.Trim(name, "-."); name == "" {
		return "unnamed"
	}
	return name
}
