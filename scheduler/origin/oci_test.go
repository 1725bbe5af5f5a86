package origin

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"weir.dev/scheduler/module"
)

// store is a registry with one repository, plugins/filter, that only ever reads.
type store struct {
	*httptest.Server
	blobs, manifests map[string][]byte
}

func registryOf(t *testing.T) *store {
	t.Helper()
	s := &store{blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	serve := func(from map[string][]byte, mediaType string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			content, ok := from[r.PathValue("digest")]
			if !ok {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Docker-Content-Digest", r.PathValue("digest"))
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			if r.Method == http.MethodGet {
				_, _ = w.Write(content)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/plugins/filter/blobs/{digest}", serve(s.blobs, "application/octet-stream"))
	mux.Handle("/v2/plugins/filter/manifests/{digest}", serve(s.manifests, ocispec.MediaTypeImageManifest))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// layer keeps a blob and describes it.
func (s *store) layer(mediaType string, content []byte) ocispec.Descriptor {
	digest := digestOf(content)
	s.blobs[digest] = content
	var described ocispec.Descriptor
	text := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, len(content))
	if err := json.Unmarshal([]byte(text), &described); err != nil {
		panic(err)
	}
	return described
}

// manifest keeps a manifest in the CNCF's layout and gives its URL.
func (s *store) manifest(t *testing.T, annotations map[string]string, layers ...ocispec.Descriptor) string {
	t.Helper()
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Layers: layers, Annotations: annotations,
		Config: s.layer("application/vnd.wasm.config.v0+json", []byte(`{"architecture":"wasm","os":"wasip1"}`)),
	}
	manifest.SchemaVersion = 2
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOf(text)
	s.manifests[digest] = text
	return "oci://" + strings.TrimPrefix(s.URL, "http://") + "/plugins/filter@" + digest
}

func TestAModuleInARegistryIsReadByItsDigestWithTheSignatureOfItsAnnotation(t *testing.T) {
	s := registryOf(t)
	url := s.manifest(t, map[string]string{"weir.dev/signature": "c2lnbmVk"},
		s.layer("text/plain", []byte("a licence")), s.layer("application/wasm", []byte("the module")))
	got, err := origin(t, url, Options{}).Read(t.Context())
	if err != nil || string(got.Bytes) != "the module" || string(got.Signature) != "c2lnbmVk" {
		t.Errorf("got %q, signature %q, %v", got.Bytes, got.Signature, err)
	}
}

func TestWhatARegistrySendsUnderAnotherDigestIsRefused(t *testing.T) {
	s := registryOf(t)
	layer := s.layer("application/wasm", []byte("the module"))
	url := s.manifest(t, nil, layer)
	s.blobs[string(layer.Digest)] = []byte("the mudole")
	if _, err := origin(t, url, Options{}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("another layer: got %v", err)
	}
	for digest := range s.manifests {
		s.manifests[digest] = []byte(strings.Replace(string(s.manifests[digest]), "application/wasm", "application/wosm", 1))
	}
	if _, err := origin(t, url, Options{}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("another manifest: got %v", err)
	}
}

func TestAManifestThatIsNotOneModuleIsRefusedWithWhatItHas(t *testing.T) {
	s := registryOf(t)
	large := s.layer("application/wasm", []byte("small"))
	large.Size = module.MaxBytes + 1
	wasm := s.layer("application/wasm", []byte("a"))
	for want, url := range map[string]string{
		"0 layers of type application/wasm": s.manifest(t, nil, s.layer("application/vnd.oci.image.layer.v1.tar", []byte("a"))),
		"2 layers of type application/wasm": s.manifest(t, nil, wasm, wasm),
		"16777217 bytes are more than":      s.manifest(t, nil, large),
	} {
		if _, err := origin(t, url, Options{}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	missing := s.manifest(t, nil, wasm)
	clear(s.manifests)
	if _, err := origin(t, missing, Options{}).Read(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("of a manifest that is not there: %v", err)
	}
}
