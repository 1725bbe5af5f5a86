package guesttest

import (
	"context"
	"path/filepath"
	"testing"

	"weir.dev/scheduler/module"
)

// A pure module that imports more than a pure one may is refused by weir-scheduler; all four of ours are pure.
func TestOurModulesAreTakenForPure(t *testing.T) {
	for _, name := range []string{"gpu-filter", "sku-exclusion-filter", "binpack-score", "loadaware-score"} {
		path, err := filepath.Abs(filepath.Join(Folder(), name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		read, err := module.ReadFile(context.Background(), "file://"+path)
		if err != nil {
			t.Errorf("%v", err)
		} else if !read.Pure {
			t.Errorf("%s is not pure; it imports %v", name, read.Imports)
		}
	}
}
