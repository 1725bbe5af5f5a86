package guesttest

import (
	"os"
	"path/filepath"
	"testing"
)

// mostBytes is 100 KiB. TinyGo's guests are 0.6 to 1.1 MB; what a module weighs is compiled at every load and swap.
const mostBytes = 100 << 10

func TestAModuleIsSmall(t *testing.T) {
	modules, err := filepath.Glob(filepath.Join(Folder(), "*.wasm"))
	if err != nil || len(modules) < 4 {
		t.Fatalf("%d modules, %v: run `make plugins` first", len(modules), err)
	}
	for _, module := range modules {
		info, err := os.Stat(module)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > mostBytes {
			t.Errorf("%s has %d bytes, more than %d", module, info.Size(), mostBytes)
		}
	}
}
