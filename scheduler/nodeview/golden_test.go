package nodeview

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	clocktesting "k8s.io/utils/clock/testing"
	sigsjson "sigs.k8s.io/json"

	"weir.dev/scheduler/load"
)

var update = flag.Bool("update", false, "write what is built now into the golden files")

const golden = "../testdata/golden"

// nodeCase is a file golden/node-*.json. Its neighbour of the same name with .pb holds the bytes of told, as a guest
// reads them.
type nodeCase struct {
	About       string   `json:"about"`
	Annotations []string `json:"annotations,omitempty"`
	Node        *v1.Node `json:"node"`
	Pods        []v1.Pod `json:"pods,omitempty"`
	Load        *loaded  `json:"load,omitempty"`
	Told        *v1.Node `json:"told"`
}

// loaded is what is known of the node's load, and when.
type loaded struct {
	NodeLoad map[string]any  `json:"nodeLoad"`
	Now      metav1.Time     `json:"now"`
	FreshFor metav1.Duration `json:"freshFor"`
}

// podCase is a file golden/pod-*.json.
type podCase struct {
	About string  `json:"about"`
	Pod   *v1.Pod `json:"pod"`
	Told  *v1.Pod `json:"told"`
}

func TestGuestsAreToldOfNodesWhatTheGoldenFilesSay(t *testing.T) {
	for _, path := range goldenFiles(t, "node-*.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var example nodeCase
			read(t, path, &example)
			info := upstream.NewNodeInfo()
			info.SetNode(example.Node)
			for i := range example.Pods {
				info.AddPod(&example.Pods[i])
			}
			told, err := example.cache(t).Of(info).Told()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				example.Told = told
				write(t, path, &example)
			}
			compare(t, path, told, example.Told, told.Marshal)
		})
	}
}

func TestPureGuestsAreToldOfPodsWhatTheGoldenFilesSay(t *testing.T) {
	for _, path := range goldenFiles(t, "pod-*.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var example podCase
			read(t, path, &example)
			told := Pod(example.Pod)
			if *update {
				example.Told = told
				write(t, path, &example)
			}
			compare(t, path, told, example.Told, told.Marshal)
		})
	}
}

func (c *nodeCase) cache(t *testing.T) *Cache {
	t.Helper()
	detail := Detail{Annotations: c.Annotations}
	if c.Load == nil {
		return NewCache(detail, nil, nil)
	}
	detail.LoadFreshFor = c.Load.FreshFor.Duration
	now := clocktesting.NewFakePassiveClock(c.Load.Now.Time)
	loads := load.NewStore(now)
	if err := loads.Put(&unstructured.Unstructured{Object: c.Load.NodeLoad}); err != nil {
		t.Fatal(err)
	}
	return NewCache(detail, loads, now)
}

func goldenFiles(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(golden, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files %s in %s (%v)", pattern, golden, err)
	}
	return paths
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	strict, err := sigsjson.UnmarshalStrict(text, into)
	if err != nil || len(strict) > 0 {
		t.Fatalf("%s: %v %v", path, err, strict)
	}
}

func write(t *testing.T, path string, example any) {
	t.Helper()
	text, err := json.MarshalIndent(example, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compare compares by JSON, in which equal quantities are equal however they are held, and by bytes.
func compare(t *testing.T, path string, told, want any, marshal func() ([]byte, error)) {
	t.Helper()
	got, gotErr := json.MarshalIndent(told, "", "  ")
	expected, wantErr := json.MarshalIndent(want, "", "  ")
	if gotErr != nil || wantErr != nil || !bytes.Equal(got, expected) {
		t.Errorf("a guest is told\n%s\nand %s says\n%s\n(%v %v)", got, path, expected, gotErr, wantErr)
	}
	message, err := marshal()
	if err != nil {
		t.Fatal(err)
	}
	binary := strings.TrimSuffix(path, ".json") + ".pb"
	if *update {
		if err := os.WriteFile(binary, message, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := os.ReadFile(binary); err != nil || !bytes.Equal(held, message) {
		t.Errorf("%s does not hold the bytes that a guest gets (%v)", binary, err)
	}
}
