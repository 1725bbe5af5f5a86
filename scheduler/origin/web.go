package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"weir.dev/scheduler/module"
)

const (
	// webPatience is for a whole answer, the module included.
	webPatience = 30 * time.Second

	// mostRedirects is enough for a download page that hands over to a mirror.
	mostRedirects = 3

	// signatureLimit is far above 64 bytes in base64.
	signatureLimit = 4 << 10
)

// web is a module on a web server.
type web struct {
	url       string
	every     time.Duration
	signature Signature
	client    *http.Client

	// last is what was read last, and etag the server's name for it.
	mu   sync.Mutex
	last Blob
	etag string
}

func newWeb(url string, options Options) *web {
	return &web{url: url, every: options.PollEvery, signature: options.Signature,
		client: &http.Client{Timeout: webPatience, CheckRedirect: followed}}
}

// followed refuses to be led from an encrypted connection to one that anybody on the way can write to.
func followed(next *http.Request, before []*http.Request) error {
	if len(before) > mostRedirects {
		return fmt.Errorf("more than %d redirects", mostRedirects)
	}
	if next.URL.Scheme != "https" && before[0].URL.Scheme == "https" {
		return fmt.Errorf("redirected from https to %s", next.URL.Scheme)
	}
	return nil
}

// Read asks only whether there is something new, where the server names its versions by ETags.
func (w *web) Read(ctx context.Context) (Blob, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bytes, etag, err := w.get(ctx, w.url, w.etag, module.MaxBytes)
	if errors.Is(err, errUnchanged) {
		return w.last, nil
	}
	if err != nil {
		return Blob{}, err
	}
	read := Blob{Bytes: bytes}
	if w.signature == SignatureWanted {
		read.Signature, _, err = w.get(ctx, w.url+signatureSuffix, "", signatureLimit)
		if err != nil && !errors.Is(err, ErrMissing) {
			return Blob{}, err
		}
	}
	w.last, w.etag = read, etag
	return read, nil
}

var errUnchanged = errors.New("unchanged")

func (w *web) get(ctx context.Context, url, known string, limit int64) (bytes []byte, etag string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", fmt.Errorf("guestURL %q: %w", url, err)
	}
	if known != "" {
		request.Header.Set("If-None-Match", known)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, "", fmt.Errorf("guestURL %q: %w", url, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, "", errUnchanged
	case http.StatusNotFound, http.StatusGone:
		return nil, "", missing(url)
	default:
		return nil, "", fmt.Errorf("guestURL %q: the server answers %s", url, response.Status)
	}
	bytes, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, "", fmt.Errorf("guestURL %q: %w", url, err)
	}
	if int64(len(bytes)) > limit {
		return nil, "", tooLarge(url, max(response.ContentLength, int64(len(bytes))))
	}
	return bytes, response.Header.Get("ETag"), nil
}

// Follow asks again and again; a module that is pinned by its digest is never asked for again.
func (w *web) Follow(ctx context.Context, notify func()) error {
	if w.every > 0 {
		go wait.JitterUntilWithContext(ctx, func(context.Context) { notify() }, w.every, 0.1, true)
	}
	return nil
}
