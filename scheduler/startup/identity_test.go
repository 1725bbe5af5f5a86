package startup

import (
	"testing"

	"weir.dev/scheduler/report"
)

func TestAReplicaReportsAsItsPodOrItsHostAndItsPortIfThatIsNotTheUsualOne(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
		host string
		want report.Identity
	}{
		"in a pod": {
			env:  map[string]string{podName: "weir-scheduler-7d4-x2", podNamespace: "weir-system", podUID: "u1"},
			want: report.Identity{Replica: "weir-scheduler-7d4-x2", Pod: "weir-scheduler-7d4-x2", PodUID: "u1"},
		},
		"in a pod of another namespace, which cannot own the report": {
			env:  map[string]string{podName: "weir-scheduler-0", podNamespace: "kube-system", podUID: "u1"},
			want: report.Identity{Replica: "weir-scheduler-0"},
		},
		"on a host":             {host: "Node_7.example", want: report.Identity{Replica: "node-7.example"}},
		"at the usual port":     {host: "a", args: []string{"--secure-port", "10259"}, want: report.Identity{Replica: "a"}},
		"second on a host":      {host: "a", args: []string{"--v=2", "--secure-port=41007"}, want: report.Identity{Replica: "a-41007"}},
		"nobody knows the host": {host: "", want: report.Identity{Replica: "unnamed"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{podName, podNamespace, podUID} {
				t.Setenv(key, test.env[key])
			}
			if got := Identity(test.args, test.host); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
