// Package origin fetches modules from where they are kept: files, ConfigMaps, web servers, registries.
//
// It reads and follows, within limits of size and time, and decides nothing about what it finds.
package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir.dev/scheduler/module"
)

// Blob is what was found.
type Blob struct {
	// Bytes are the module's.
	Bytes []byte

	// Signature is what lies beside the module as its signature; nil if there is none.
	Signature []byte
}

// Origin is one place with one module in it.
type Origin interface {
	// Read gets what is there now. The error is ErrMissing if there is nothing.
	Read(ctx context.Context) (Blob, error)

	// Follow calls notify whenever something may have changed there, until the context ends. It returns at once.
	Follow(ctx context.Context, notify func()) error
}

// ErrMissing says that the place can be reached and that there is nothing in it.
var ErrMissing = errors.New("there is nothing there")

// Options are what the places need.
type Options struct {
	// ConfigMaps reads configmap:// URLs.
	ConfigMaps *ConfigMaps

	// PollEvery is how often a web server is asked whether its module has changed; 0 is never.
	PollEvery time.Duration

	// Signature says whether somebody wants it: a web server is not asked for what nobody reads.
	Signature Signature
}

// Signature is whether a signature is wanted.
type Signature int

// Whether a signature is wanted.
const (
	SignatureUnused Signature = iota
	SignatureWanted
)

// signatureSuffix and the module's own name make the name of its signature.
const signatureSuffix = ".sig"

// Parse finds the place that a URL names. The field is for messages.
func Parse(field, url string, options Options) (Origin, error) {
	scheme, place, _ := strings.Cut(url, "://")
	switch scheme {
	case "file":
		return file{url: url, path: place}, nil
	case "configmap":
		name, key, err := parseKey(field, place)
		return inConfigMap{url: url, name: name, key: key, in: options.ConfigMaps}, err
	case "http", "https":
		return newWeb(url, options), nil
	case "oci":
		return parseOCI(field, url, place)
	}
	return nil, fmt.Errorf("%s %q: expected file:///path, configmap://namespace/name/key, https://host/path or oci://registry/repository@sha256:digest", field, url)
}

// tooLarge is the error for a module that is not even read to its end.
func tooLarge(url string, bytes int64) error {
	return fmt.Errorf("guestURL %q: %d bytes are more than the %d that a module may have", url, bytes, int64(module.MaxBytes))
}

func missing(url string) error { return fmt.Errorf("guestURL %q: %w", url, ErrMissing) }
