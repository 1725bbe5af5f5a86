package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"

	"weir.dev/scheduler/module"
)

const (
	// ociPatience is for manifest and module together.
	ociPatience = time.Minute

	// manifestLimit is what registries themselves allow.
	manifestLimit = 4 << 20

	// signatureAnnotation, on the manifest or on the layer, is the module's signature in base64.
	signatureAnnotation = "weir.dev/signature"
)

// wasmLayers are the media types of a layer that is a module: the CNCF's layout, and the one before it.
var wasmLayers = map[string]bool{
	"application/wasm":                           true,
	"application/vnd.wasm.content.layer.v1+wasm": true,
}

// registry is a module in an OCI registry, named by the digest of its manifest, so that it never changes.
type registry struct {
	url, digest string
	repository  *remote.Repository
}

func parseOCI(field, url, place string) (Origin, error) {
	name, digest, pinned := strings.Cut(place, "@")
	if !pinned {
		return nil, fmt.Errorf("%s %q: expected oci://registry/repository@sha256:digest; a tag could be moved", field, url)
	}
	if _, err := module.ParseDigest(field, digest); err != nil {
		return nil, err
	}
	repository, err := remote.NewRepository(name)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", field, url, err)
	}
	repository.PlainHTTP = onLoopback(repository.Reference.Host())
	return registry{url: url, digest: digest, repository: repository}, nil
}

// onLoopback is true for registries on this machine, which have no certificates; the digest holds all the same.
func onLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Read checks that what the registry sends has the digests that it was asked for by.
func (r registry) Read(ctx context.Context) (Blob, error) {
	ctx, cancel := context.WithTimeout(ctx, ociPatience)
	defer cancel()
	manifest, err := r.manifest(ctx)
	if err != nil {
		return Blob{}, fmt.Errorf("guestURL %q: %w", r.url, err)
	}
	layer, err := wasmLayer(manifest)
	if err != nil {
		return Blob{}, fmt.Errorf("guestURL %q: %w", r.url, err)
	}
	if layer.Size > module.MaxBytes {
		return Blob{}, tooLarge(r.url, layer.Size)
	}
	bytes, err := content.FetchAll(ctx, r.repository.Blobs(), layer)
	if err != nil {
		return Blob{}, fmt.Errorf("guestURL %q: %w", r.url, err)
	}
	return Blob{Bytes: bytes, Signature: signatureOf(manifest, layer)}, nil
}

func (r registry) manifest(ctx context.Context) (ocispec.Manifest, error) {
	var manifest ocispec.Manifest
	descriptor, err := r.repository.Manifests().Resolve(ctx, r.digest)
	if errors.Is(err, errdef.ErrNotFound) {
		return manifest, errors.Join(ErrMissing, err)
	}
	if err != nil {
		return manifest, err
	}
	if descriptor.Size > manifestLimit {
		return manifest, fmt.Errorf("its manifest has %d bytes; expected at most %d", descriptor.Size, manifestLimit)
	}
	bytes, err := content.FetchAll(ctx, r.repository.Manifests(), descriptor)
	if err != nil {
		return manifest, err
	}
	if err := json.Unmarshal(bytes, &manifest); err != nil {
		return manifest, fmt.Errorf("its manifest: %w", err)
	}
	return manifest, nil
}

// wasmLayer is the one layer that is a module. There may be others, such as a licence.
func wasmLayer(manifest ocispec.Manifest) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, layer := range manifest.Layers {
		if wasmLayers[layer.MediaType] {
			found = append(found, layer)
		}
	}
	if len(found) != 1 {
		return ocispec.Descriptor{}, fmt.Errorf("its manifest has %d layers of type application/wasm; expected one", len(found))
	}
	return found[0], nil
}

func signatureOf(manifest ocispec.Manifest, layer ocispec.Descriptor) []byte {
	for _, annotations := range []map[string]string{layer.Annotations, manifest.Annotations} {
		if text, ok := annotations[signatureAnnotation]; ok {
			return []byte(text)
		}
	}
	return nil
}

// Follow has nothing to do: what has a digest never changes.
func (r registry) Follow(context.Context, func()) error { return nil }
