package slot

import (
	"os"
	"path/filepath"
	"testing"

	"weir.dev/scheduler/module"
)

// ourModules are the modules of plugins/, built by `make plugins`; WEIR_PLUGINS names another folder with them.
func ourModules(t testing.TB) map[string]string {
	t.Helper()
	sources, err := os.ReadDir(filepath.Join("..", "..", "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	folder := os.Getenv("WEIR_PLUGINS")
	if folder == "" {
		if folder, err = filepath.Abs(filepath.Join("..", "..", "target", "plugins")); err != nil {
			t.Fatal(err)
		}
	}
	urls := map[string]string{}
	for _, source := range sources {
		path := filepath.Join(folder, source.Name()+".wasm")
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make plugins` first, or set WEIR_PLUGINS", err)
		}
		urls[source.Name()] = "file://" + path
	}
	return urls
}

func TestOurOwnModulesLoadAndArePure(t *testing.T) {
	for name, url := range ourModules(t) {
		t.Run(name, func(t *testing.T) {
			startWith(t, Args{GuestURL: url}, cluster(t, nil))
			m, err := module.ReadFile(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			if !m.Pure {
				t.Error("it does not declare itself pure, so it is slower than it needs to be")
			}
		})
	}
}
