package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

// cluster is etcd and an API server and nothing else: no controller and no kubelet takes CPU from what is measured.
type cluster struct {
	folder     string
	client     kubernetes.Interface
	kubeconfig string
	processes  []*exec.Cmd
	profile    string
}

const token = "bench"

func startCluster(ctx context.Context, o options) (_ *cluster, err error) {
	folder, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: folder, kubeconfig: filepath.Join(folder, "kubeconfig"), profile: o.profile}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	if _, err := c.start(o.etcd, "--data-dir", filepath.Join(folder, "etcd"), "--listen-client-urls", etcd,
		"--advertise-client-urls", etcd, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default="+peer, "--unsafe-no-fsync"); err != nil {
		return nil, err
	}
	key, err := c.write("sa.key", rsaKey())
	if err != nil {
		return nil, err
	}
	tokens, err := c.write("tokens.csv", token+",bench,bench,system:masters\n")
	if err != nil {
		return nil, err
	}
	if _, err := c.start(o.apiserver, "--etcd-servers", etcd, "--cert-dir", filepath.Join(folder, "certs"),
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(ports[2]), "--token-auth-file", tokens,
		"--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
		"--service-account-issuer", "https://bench", "--service-account-key-file", key, "--service-account-signing-key-file", key,
		// No controller makes service accounts, and none takes the not-ready taint away.
		"--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition",
		"--max-requests-inflight", "4000", "--max-mutating-requests-inflight", "2000"); err != nil {
		return nil, err
	}
	return c, c.connect(ctx, fmt.Sprintf("https://127.0.0.1:%d", ports[2]))
}

func (c *cluster) connect(ctx context.Context, url string) error {
	kubeconfig := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: "%s", insecure-skip-tls-verify: true}}],
users: [{name: c, user: {token: %s}}],
contexts: [{name: c, context: {cluster: c, user: c}}]}`, url, token)
	if _, err := c.write("kubeconfig", kubeconfig); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, 0
	config.ContentConfig = rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"}
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	return await(ctx, 2*time.Minute, "the API server to be ready", func() (bool, error) {
		_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil
	})
}

// start runs a program with its output in a file of the cluster's folder.
func (c *cluster) start(program string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(c.folder, filepath.Base(program)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	c.processes = append(c.processes, command)
	return command, nil
}

func (c *cluster) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		_ = c.processes[i].Process.Kill()
		_ = c.processes[i].Wait()
	}
	_ = os.RemoveAll(c.folder)
}

// createNodes makes GPU hosts of the size that Nodes of real clusters have: 40 labels, 50 images.
func (c *cluster) createNodes(ctx context.Context, count int) error {
	return parallel(ctx, count, func(i int) error {
		_, err := c.client.CoreV1().Nodes().Create(ctx, wideNode(fmt.Sprintf("node-%05d", i)), metav1.CreateOptions{})
		return err
	})
}

func wideNode(name string) *v1.Node {
	labels := map[string]string{"kubernetes.io/hostname": name, "gpu-node-label-model": "T4"}
	for i := range 38 {
		labels[fmt.Sprintf("example.com/some-label-of-a-node-%d", i)] = "some-value"
	}
	var images []v1.ContainerImage
	for i := range 50 {
		images = append(images, v1.ContainerImage{
			Names:     []string{fmt.Sprintf("registry.example.com/some/repository-%d@sha256:%s", i, strings.Repeat("0123456789abcdef", 4))},
			SizeBytes: 1 << 30,
		})
	}
	offered := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("96"), v1.ResourceMemory: resource.MustParse("768Gi"),
		v1.ResourcePods: resource.MustParse("110"), "nvidia.com/gpu": resource.MustParse("8"),
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Status: v1.NodeStatus{
			Capacity: offered, Allocatable: offered, Images: images,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}
}

// createPods makes pods that fit every node: the pods of four jobs, mixed.
func (c *cluster) createPods(ctx context.Context, count int) error {
	return parallel(ctx, count, func(i int) error {
		amounts := v1.ResourceList{
			v1.ResourceCPU:    resource.MustParse(fmt.Sprint(1 + i%4)),
			v1.ResourceMemory: resource.MustParse("4Gi"), "nvidia.com/gpu": resource.MustParse("1"),
		}
		_, err := c.client.CoreV1().Pods("default").Create(ctx, &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%05d", i), Labels: map[string]string{"job": fmt.Sprint(i % 4)}},
			Spec: v1.PodSpec{SchedulerName: schedulerName, Containers: []v1.Container{{
				Name: "main", Image: "example.com/train:1",
				Resources: v1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}}},
		}, metav1.CreateOptions{})
		return err
	})
}

func (c *cluster) deletePods(ctx context.Context) error {
	now := int64(0)
	return c.client.CoreV1().Pods("default").DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
}

func parallel(ctx context.Context, count int, do func(int) error) error {
	failed := make([]error, count)
	workqueue.ParallelizeUntil(ctx, 16, count, func(i int) { failed[i] = do(i) })
	return errors.Join(failed...)
}

func (c *cluster) write(name, content string) (string, error) {
	path := filepath.Join(c.folder, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}

func rsaKey() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // only without a source of random numbers
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// await asks until it is so, or the time is up.
func await(ctx context.Context, limit time.Duration, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, err := is()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %v for %s: %w", limit, what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
