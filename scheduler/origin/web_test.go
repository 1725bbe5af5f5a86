package origin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir.dev/scheduler/module"
)

// site serves one file, whose content and ETag a test changes.
type site struct {
	*httptest.Server
	content, tag atomic.Value
	sent         atomic.Int32 // bodies
}

func serve(t *testing.T, content string) *site {
	t.Helper()
	s := &site{}
	s.content.Store(content)
	s.tag.Store(`"` + content + `"`)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := s.tag.Load().(string)
		switch {
		case r.URL.Path == "/module.wasm.sig":
			_, _ = w.Write([]byte("signed"))
		case r.URL.Path != "/module.wasm":
			http.NotFound(w, r)
		case tag != "" && r.Header.Get("If-None-Match") == tag:
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", tag)
			s.sent.Add(1)
			_, _ = w.Write([]byte(s.content.Load().(string)))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func origin(t *testing.T, url string, options Options) Origin {
	t.Helper()
	made, err := Parse("args.guestURL", url, options)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAModuleOnAWebServerIsSentOnlyWhenItHasChanged(t *testing.T) {
	s := serve(t, "one")
	from := origin(t, s.URL+"/module.wasm", Options{Signature: SignatureWanted})
	for _, want := range []string{"one", "one", "two"} {
		if want == "two" {
			s.content.Store("two")
			s.tag.Store(`"two"`)
		}
		got, err := from.Read(t.Context())
		if err != nil || string(got.Bytes) != want || string(got.Signature) != "signed" {
			t.Errorf("got %q, signature %q, %v; want %q", got.Bytes, got.Signature, err, want)
		}
	}
	if sent := s.sent.Load(); sent != 2 {
		t.Errorf("the module was sent %d times, want twice", sent)
	}
}

func TestAWebServerThatIsPolledIsAskedAgainAndAgainAndOneThatIsPinnedNever(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan struct{}, 10)
	notify := func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	if err := origin(t, "https://example.invalid/p.wasm", Options{PollEvery: time.Millisecond}).Follow(ctx, notify); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-asked
	}
	never := func() { t.Error("a pinned module was asked for again") }
	if err := origin(t, "https://example.invalid/p.wasm", Options{}).Follow(ctx, never); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAWebServerMayNotSendIsAnErrorThatSaysWhat(t *testing.T) {
	s := serve(t, string(bytes.Repeat([]byte{0}, module.MaxBytes+1)))
	s.tag.Store("")
	leads := httptest.NewTLSServer(http.RedirectHandler(s.URL+"/module.wasm", http.StatusFound))
	t.Cleanup(leads.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("half of it"))
	}))
	t.Cleanup(broken.Close)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(failing.Close)
	for url, want := range map[string]string{
		s.URL + "/module.wasm": "16777217 bytes are more than the 16777216",
		leads.URL:              "redirected from https to http",
		broken.URL:             "unexpected EOF",
		failing.URL:            "the server answers 418",
	} {
		from := newWeb(url, Options{})
		if url == leads.URL {
			from.client.Transport = leads.Client().Transport
		}
		if _, err := from.Read(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", url, err, want)
		}
	}
	if _, err := newWeb(s.URL+"/nothing", Options{}).Read(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("of a page that is not there: %v", err)
	}
}

func TestAWebServerThatNeverEndsItsAnswerIsGivenUp(t *testing.T) {
	stuck := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(stuck.Close)
	from := newWeb(stuck.URL, Options{})
	from.client.Timeout = 50 * time.Millisecond
	if _, err := from.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "Timeout") {
		t.Errorf("got %v", err)
	}
}

func TestURLsOfNoKnownPlaceAreRefusedWithTheFieldAndWhatIsExpected(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for url, want := range map[string]string{
		"ftp://a/b":                          "expected file:///path",
		"plugin.wasm":                        "expected file:///path",
		"configmap://weir-system/plugins":    "expected configmap://namespace/name/key",
		"oci://registry.test/plugin:v1":      "a tag could be moved",
		"oci://registry.test/p@sha256:12":    "64 hexadecimal digits",
		"oci://registry.test@" + digest:      "args.guestURL",
		"configmap://weir-system//p.wasm":    "expected configmap://namespace/name/key",
		"configmap://weir-system/plugins/a/": "expected configmap://namespace/name/key",
	} {
		if _, err := Parse("args.guestURL", url, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", url, err, want)
		}
	}
}
