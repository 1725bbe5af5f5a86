package load

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Resource is what the agents write.
var Resource = schema.GroupVersionResource{Group: "weir.dev", Version: "v1alpha1", Resource: "nodeloads"}

// retry is how often the API server is asked whether the custom resource is there by now.
const retry = 15 * time.Second

// Watch feeds the store from the API server until the context ends. It returns at once: a scheduler without samples
// works, its plugins just are not told of any load. That is also what happens while the custom resource is not
// installed or the scheduler may not read it, which is logged once.
func (s *Store) Watch(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("watching %s: %w", Resource.GroupResource(), err)
	}
	go func() {
		if waitFor(ctx, client) {
			s.follow(ctx, client)
		}
	}()
	return nil
}

// waitFor asks until there is an answer, because an informer would complain at each try.
func waitFor(ctx context.Context, client dynamic.Interface) bool {
	log := klog.FromContext(ctx)
	said := false
	err := wait.PollUntilContextCancel(ctx, retry, true, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(Resource).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil && !said && ctx.Err() == nil {
			log.Info("Plugins are told of no measured load, until this changes", "reason", err.Error())
			said = true
		}
		return err == nil, nil
	})
	return err == nil
}

func (s *Store) follow(ctx context.Context, client dynamic.Interface) {
	log := klog.FromContext(ctx)
	put := func(object any) {
		if err := s.Put(object.(*unstructured.Unstructured)); err != nil {
			log.V(2).Info("Ignored a sample", "reason", err.Error())
		}
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(client, Resource, "", 0, cache.Indexers{}, nil).Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, object any) { put(object) },
		DeleteFunc: func(object any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				s.Delete(key)
			}
		},
	})
	if err != nil {
		log.Error(err, "Plugins are told of no measured load")
		return
	}
	informer.Run(ctx.Done())
}
