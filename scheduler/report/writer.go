package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// Namespace holds the reports of all replicas.
	Namespace = "weir-system"

	// Key is where the Document stands in a ConfigMap's data.
	Key = "plugins.json"

	// Label and LabelValue mark the ConfigMaps that are reports.
	Label      = "weir.dev/component"
	LabelValue = "plugins"

	// Renew is how often a report is written when nothing happens. Expiry is when the other replicas take it away.
	Renew  = 30 * time.Second
	Expiry = 10 * time.Minute

	fieldManager = "weir-scheduler"

	// between is the least time from one writing to the next: what happens meanwhile is written together.
	between = 500 * time.Millisecond

	// sweep is how often the reports of dead replicas are looked for.
	sweep = 5 * time.Minute
)

// Identity is who writes.
type Identity struct {
	// Replica names the report's ConfigMap: weir-plugins-<replica>.
	Replica string

	// Pod and PodUID are of the pod that the scheduler runs in, if it runs in one in Namespace: then the report goes with
	// it. Both are empty elsewhere.
	Pod, PodUID string
}

// Writer keeps the report of one replica up to date.
type Writer struct {
	identity Identity
	client   typedcorev1.ConfigMapInterface
	clock    clock.Clock
	plugins  func() []Plugin
	changed  chan struct{}

	// said is the last failure that was logged.
	said string
}

// Connect gives a client of the report's own, so that it takes nothing from the limit on kube-scheduler's calls: a
// binding never waits for it.
func Connect(config *rest.Config) (kubernetes.Interface, error) {
	own := rest.CopyConfig(config)
	own.QPS, own.Burst, own.RateLimiter = 5, 10, nil
	own.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(own)
}

// NewWriter makes a writer of what plugins answers, whenever it is told of a change and at least every Renew.
func NewWriter(identity Identity, client kubernetes.Interface, clock clock.Clock, plugins func() []Plugin) *Writer {
	return &Writer{
		identity: identity, client: client.CoreV1().ConfigMaps(Namespace), clock: clock, plugins: plugins,
		changed: make(chan struct{}, 1),
	}
}

// Changed says that something happened which is to be written soon. It never waits.
func (w *Writer) Changed() {
	select {
	case w.changed <- struct{}{}:
	default: // one that is not taken yet stands for this one too
	}
}

// Run writes until the context ends.
func (w *Writer) Run(ctx context.Context) {
	var swept time.Time
	for {
		w.tell(ctx, w.write(ctx))
		if now := w.clock.Now(); now.Sub(swept) >= sweep {
			swept = now
			w.tell(ctx, w.forgetDead(ctx))
		}
		if !w.wait(ctx) {
			return
		}
	}
}

// wait is over when it is time to write again.
func (w *Writer) wait(ctx context.Context) bool {
	soon := w.clock.NewTimer(between)
	defer soon.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-soon.C():
	}
	late := w.clock.NewTimer(Renew - between)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.changed:
	case <-late.C():
	}
	return true
}

func (w *Writer) write(ctx context.Context) error {
	document := Document{Replica: w.identity.Replica, RenewedAt: metav1.NewTime(w.clock.Now()), Plugins: w.plugins()}
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("writing down the report: %w", err)
	}
	object := applycorev1.ConfigMap(w.name(), Namespace).
		WithLabels(map[string]string{Label: LabelValue}).
		WithData(map[string]string{Key: string(text)})
	if w.identity.Pod != "" && w.identity.PodUID != "" {
		object.WithOwnerReferences(applymetav1.OwnerReference().
			WithAPIVersion("v1").WithKind("Pod").WithName(w.identity.Pod).WithUID(types.UID(w.identity.PodUID)))
	}
	_, err = w.client.Apply(ctx, object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s/%s: %w", Namespace, w.name(), err)
	}
	return nil
}

func (w *Writer) name() string { return "weir-plugins-" + w.identity.Replica }

// forgetDead takes away the reports that nobody renewed for long. What is no report is left alone.
func (w *Writer) forgetDead(ctx context.Context) error {
	all, err := w.client.List(ctx, metav1.ListOptions{LabelSelector: Label + "=" + LabelValue})
	if err != nil {
		return fmt.Errorf("looking for the reports of dead replicas: %w", err)
	}
	var failed []error
	for i := range all.Items {
		if !w.dead(&all.Items[i]) {
			continue
		}
		seen := all.Items[i].ResourceVersion
		err := w.client.Delete(ctx, all.Items[i].Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &seen}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			failed = append(failed, fmt.Errorf("deleting the report of a dead replica: %w", err))
		}
	}
	return errors.Join(failed...)
}

func (w *Writer) dead(report *v1.ConfigMap) bool {
	var says Document
	if !strings.HasPrefix(report.Name, "weir-plugins-") || json.Unmarshal([]byte(report.Data[Key]), &says) != nil {
		return false
	}
	return w.clock.Since(says.RenewedAt.Time) > Expiry
}

// tell logs a failure once, until it is another one or over.
func (w *Writer) tell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		w.said = ""
		return
	}
	if err.Error() != w.said {
		klog.FromContext(ctx).Info("What this replica has in force cannot be reported; it is tried again", "reason", err.Error())
	}
	w.said = err.Error()
}
