package startup

import (
	"os"
	"testing"
)

func TestTheMemoryLimitIsMostOfTheContainersOrHalfOfTheMachines(t *testing.T) {
	const (
		v2      = "/sys/fs/cgroup/memory.max"
		v1      = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
		machine = "/proc/meminfo"
	)
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"a container":                {map[string]string{v2: "1000000\n", machine: "MemTotal: 9000 kB\n"}, 800_000},
		"a container of cgroup v1":   {map[string]string{v1: "1000000\n"}, 800_000},
		"none in cgroup v2":          {map[string]string{v2: "max\n", machine: "MemFree: 1 kB\nMemTotal:  9000 kB\n"}, 9000 * 512},
		"none in cgroup v1":          {map[string]string{v1: "9223372036854771712\n", machine: "MemTotal: 9000 kB\n"}, 9000 * 512},
		"a system that does not say": {nil, 0},
	} {
		got := memoryLimit(func(file string) ([]byte, error) {
			if text, ok := test.files[file]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		})
		if got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
