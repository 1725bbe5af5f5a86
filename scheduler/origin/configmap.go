package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// ConfigMaps reads single ConfigMaps and follows them. While the API server is away they are as they were last seen.
type ConfigMaps struct {
	client kubernetes.Interface

	mu       sync.Mutex
	followed map[types.NamespacedName]cache.SharedIndexInformer
}

// NewConfigMaps follows nothing yet.
func NewConfigMaps(client kubernetes.Interface) *ConfigMaps {
	return &ConfigMaps{client: client, followed: map[types.NamespacedName]cache.SharedIndexInformer{}}
}

// Get is the ConfigMap as it was last seen, or asked for if it is not followed yet. The error of one that does not
// exist satisfies apierrors.IsNotFound.
func (c *ConfigMaps) Get(ctx context.Context, name types.NamespacedName) (*v1.ConfigMap, error) {
	if !c.Following(name) {
		return c.client.CoreV1().ConfigMaps(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	}
	c.mu.Lock()
	followed := c.followed[name]
	c.mu.Unlock()
	found, exists, err := followed.GetStore().GetByKey(name.String())
	if err != nil || !exists {
		return nil, errors.Join(err, apierrors.NewNotFound(v1.Resource("configmaps"), name.String()))
	}
	return found.(*v1.ConfigMap), nil
}

// Following says whether the ConfigMap, or that there is none, is known without asking.
func (c *ConfigMaps) Following(name types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	informer, ok := c.followed[name]
	return ok && informer.HasSynced()
}

// Follow calls notify whenever the ConfigMap may have changed, until the context of the first who follows it ends.
func (c *ConfigMaps) Follow(ctx context.Context, name types.NamespacedName, notify func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	informer, ok := c.followed[name]
	if !ok {
		informer = informers.NewSharedInformerFactoryWithOptions(c.client, 0,
			informers.WithNamespace(name.Namespace),
			informers.WithTweakListOptions(func(options *metav1.ListOptions) {
				options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name).String()
			})).Core().V1().ConfigMaps().Informer()
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(_, _ any) { notify() },
		DeleteFunc: func(any) { notify() },
	}); err != nil {
		return fmt.Errorf("watching ConfigMap %s: %w", name, err)
	}
	if !ok {
		c.followed[name] = informer
		go informer.Run(ctx.Done())
	}
	return nil
}

// inConfigMap is a module under a key of binaryData, its signature under another beside it, in binaryData or in data.
type inConfigMap struct {
	url  string
	name types.NamespacedName
	key  string
	in   *ConfigMaps
}

func (m inConfigMap) Read(ctx context.Context) (Blob, error) {
	holder, err := m.in.Get(ctx, m.name)
	if apierrors.IsNotFound(err) {
		return Blob{}, errors.Join(missing(m.url), err)
	}
	if err != nil {
		return Blob{}, fmt.Errorf("guestURL %q: %w", m.url, err)
	}
	bytes, ok := holder.BinaryData[m.key]
	if !ok {
		return Blob{}, fmt.Errorf("guestURL %q: the ConfigMap has no %q in its binaryData: %w", m.url, m.key, ErrMissing)
	}
	signature := holder.BinaryData[m.key+signatureSuffix]
	if text, ok := holder.Data[m.key+signatureSuffix]; ok {
		signature = []byte(text)
	}
	return Blob{Bytes: bytes, Signature: signature}, nil
}

func (m inConfigMap) Follow(ctx context.Context, notify func()) error {
	return m.in.Follow(ctx, m.name, notify)
}

// ParseName reads namespace/name.
func ParseName(field, text string) (types.NamespacedName, error) {
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
		return types.NamespacedName{}, "", fmt.Errorf("%s is %q; expected configmap://namespace/name/key", field, "configmap://"+text)
	}
	return types.NamespacedName{Namespace: parts[0], Name: parts[1]}, parts[2], nil
}
