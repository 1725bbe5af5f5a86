package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"

	"weir.dev/scheduler/module"
)

// file is a module in a file, its signature in another beside it. The path may be relative, as in the extension.
type file struct{ url, path string }

func (f file) Read(context.Context) (Blob, error) {
	bytes, err := readFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Blob{}, errors.Join(missing(f.url), err)
	}
	if err != nil {
		return Blob{}, fmt.Errorf("guestURL %q: %w", f.url, err)
	}
	signature, err := readFile(f.path + signatureSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Blob{}, fmt.Errorf("the signature of guestURL %q: %w", f.url, err)
	}
	return Blob{Bytes: bytes, Signature: signature}, nil
}

func readFile(path string) ([]byte, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > module.MaxBytes {
		return nil, fmt.Errorf("%d bytes are more than the %d that a module may have", info.Size(), int64(module.MaxBytes))
	}
	return io.ReadAll(io.LimitReader(opened, module.MaxBytes))
}

// settle is how long a file must be left alone before it is read: a module that is copied in place, and not renamed into
// its place, is written in pieces.
const settle = 10 * time.Millisecond

// Follow watches the folder, for a file that is replaced by a rename, or by a link as kubelets do it, is another file
// each time.
func (f file) Follow(ctx context.Context, notify func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", f.path, err)
	}
	if err := watcher.Add(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("watching %s: %w", f.path, errors.Join(err, watcher.Close()))
	}
	go func() {
		defer watcher.Close()
		quiet := time.NewTimer(0)
		<-quiet.C
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.Events:
				quiet.Reset(settle)
			case err := <-watcher.Errors:
				klog.FromContext(ctx).Error(err, "Watching a plugin's folder; it is read anew", "path", f.path)
				quiet.Reset(settle)
			case <-quiet.C:
				notify()
			}
		}
	}()
	return nil
}
