package slot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/module"
)

// configMapScheme is of modules in the binaryData of a ConfigMap.
const configMapScheme = "configmap://"

// recipe is what a version is made of.
type recipe struct {
	module *module.Module
	config string

	// revision is the resourceVersion of the ConfigMap that the configuration came from; empty if it stands in the args.
	revision string
}

// same says whether two recipes make the same version. The revision alone does not change what a guest answers.
func (r recipe) same(other recipe) bool {
	return r.module.Digest == other.module.Digest && r.config == other.config
}

// sources is where a slot's module and configuration come from. It reads and watches, and decides nothing.
type sources struct {
	args   Args
	handle framework.Handle

	// informers hold the ConfigMaps that are followed.
	informers map[types.NamespacedName]cache.SharedIndexInformer
}

// read gets what is there now.
func (s *sources) read(ctx context.Context) (recipe, error) {
	var got recipe
	var err error
	if got.module, err = s.readModule(ctx); err != nil {
		return got, err
	}
	got.config, got.revision, err = s.readConfig(ctx)
	return got, err
}

func (s *sources) readModule(ctx context.Context) (*module.Module, error) {
	place, isConfigMap := strings.CutPrefix(s.args.GuestURL, configMapScheme)
	if !isConfigMap {
		return module.ReadFile(ctx, s.args.GuestURL)
	}
	name, key, err := parseKey("args.guestURL", place)
	if err != nil {
		return nil, err
	}
	holder, err := s.configMap(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("guestURL %q: %w", s.args.GuestURL, err)
	}
	bytes, ok := holder.BinaryData[key]
	if !ok {
		return nil, fmt.Errorf("guestURL %q: the ConfigMap has no %q in its binaryData", s.args.GuestURL, key)
	}
	return module.Parse(ctx, s.args.GuestURL, bytes)
}

func (s *sources) readConfig(ctx context.Context) (config, revision string, err error) {
	if s.args.GuestConfigMap == "" {
		return s.args.GuestConfig, "", nil
	}
	name, err := parseName("args.guestConfigMap", s.args.GuestConfigMap)
	if err != nil {
		return "", "", err
	}
	holder, err := s.configMap(ctx, name)
	if apierrors.IsNotFound(err) {
		return s.args.GuestConfig, "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("guestConfigMap %q: %w", s.args.GuestConfigMap, err)
	}
	if len(holder.Data) != 1 {
		return "", "", fmt.Errorf("guestConfigMap %q has %d keys in its data; expected one, whose value is the guest's configuration",
			s.args.GuestConfigMap, len(holder.Data))
	}
	for _, value := range holder.Data {
		config = value
	}
	return config, holder.ResourceVersion, nil
}

// configMap is the ConfigMap as it was last seen, or asked for if it is not followed yet.
func (s *sources) configMap(ctx context.Context, name types.NamespacedName) (*v1.ConfigMap, error) {
	followed, ok := s.informers[name]
	if !ok || !followed.HasSynced() {
		return s.handle.ClientSet().CoreV1().ConfigMaps(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	}
	found, exists, err := followed.GetStore().GetByKey(name.String())
	if err != nil || !exists {
		return nil, errors.Join(err, apierrors.NewNotFound(v1.Resource("configmaps"), name.String()))
	}
	return found.(*v1.ConfigMap), nil
}

// follow calls changed, from one goroutine, whenever something may have changed at the sources, until the context ends.
func (s *sources) follow(ctx context.Context, changed func()) error {
	signal := make(chan struct{}, 1)
	notify := func() {
		select {
		case signal <- struct{}{}:
		default: // one that is not taken yet stands for this one too
		}
	}
	if err := s.followConfigMaps(ctx, notify); err != nil {
		return err
	}
	if path, ok := strings.CutPrefix(s.args.GuestURL, "file://"); ok {
		if err := followFile(ctx, path, notify); err != nil {
			return fmt.Errorf("watching %s: %w", path, err)
		}
	}
	notify() // for what changed between the first reading and now
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signal:
				changed()
			}
		}
	}()
	return nil
}

func (s *sources) followConfigMaps(ctx context.Context, notify func()) error {
	s.informers = map[types.NamespacedName]cache.SharedIndexInformer{}
	if place, ok := strings.CutPrefix(s.args.GuestURL, configMapScheme); ok {
		name, _, err := parseKey("args.guestURL", place)
		if err != nil {
			return err
		}
		s.informers[name] = nil
	}
	if s.args.GuestConfigMap != "" {
		name, err := parseName("args.guestConfigMap", s.args.GuestConfigMap)
		if err != nil {
			return err
		}
		s.informers[name] = nil
	}
	for name := range s.informers {
		informer := informers.NewSharedInformerFactoryWithOptions(s.handle.ClientSet(), 0,
			informers.WithNamespace(name.Namespace),
			informers.WithTweakListOptions(func(options *metav1.ListOptions) {
				options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name).String()
			})).Core().V1().ConfigMaps().Informer()
		handler := cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(_, _ any) { notify() },
			DeleteFunc: func(any) { notify() },
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
		s.informers[name] = informer
		go informer.Run(ctx.Done())
	}
	return nil
}

// settle is how long a file must be left alone before it is read: a module that is copied in place, and not renamed into
// its place, is written in pieces.
const settle = 10 * time.Millisecond

// followFile watches the folder, for a file that is replaced by a rename, or by a link as kubelets do it, is another
// file each time.
func followFile(ctx context.Context, path string, notify func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return errors.Join(err, watcher.Close())
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
				klog.FromContext(ctx).Error(err, "Watching a plugin's folder; it is read anew", "path", path)
				quiet.Reset(settle)
			case <-quiet.C:
				notify()
			}
		}
	}()
	return nil
}

// parseName reads namespace/name.
func parseName(field, text string) (types.NamespacedName, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return types.NamespacedName{}, fmt.Errorf("%s is %q; expected namespace/name", field, text)
	}
	return types.NamespacedName{Namespace: parts[0], Name: parts[1]}, nil
}

// parseKey reads namespace/name/key.
func parseKey(field, text string) (types.NamespacedName, string, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return types.NamespacedName{}, "", fmt.Errorf("%s is %q; expected %snamespace/name/key", field, configMapScheme+text, configMapScheme)
	}
	return types.NamespacedName{Namespace: parts[0], Name: parts[1]}, parts[2], nil
}
