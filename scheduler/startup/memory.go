package startup

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// garbagePercent lets the heap grow to five times what is in use before garbage is collected. A cycle at 1000 nodes leaves
	// nearly a megabyte behind, almost all of it upstream's, and what is in use is small beside it.
	garbagePercent = 400

	// shareOfMemory is how much of the memory that the process may have counts as its limit, near which garbage is collected
	// more often.
	shareOfMemory = 0.8
)

// BoundMemory trades memory for time as far as there is memory, unless the environment says how (GOGC, GOMEMLIMIT).
func BoundMemory() {
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		limit := memoryLimit(os.ReadFile)
		if limit == 0 {
			return // nothing would bound the heap
		}
		debug.SetMemoryLimit(limit)
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(garbagePercent)
	}
}

// memoryLimit is most of what the process may have: what its container is given, or half of the machine's memory. It is 0
// where neither is known.
func memoryLimit(read func(string) ([]byte, error)) int64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := read(file)
		if err != nil {
			continue
		}
		// Without a limit the first says "max" and the second a number that is larger than any machine.
		if bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bytes > 0 && bytes < math.MaxInt64/2 {
			return int64(float64(bytes) * shareOfMemory)
		}
	}
	text, err := read("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes * 1024 / 2
		}
	}
	return 0
}
