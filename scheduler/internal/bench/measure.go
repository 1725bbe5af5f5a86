package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// result is one run of one scheduler.
type result struct {
	placed                int
	podsPerS, cpuMsPerPod float64
}

// measure runs a scheduler on pods that wait for it.
func (c *cluster) measure(ctx context.Context, who contender, nodes, pods int) (result, error) {
	if err := c.createPods(ctx, pods); err != nil {
		return result{}, err
	}
	bindings, err := c.client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName!="})
	if err != nil {
		return result{}, err
	}
	defer bindings.Stop()
	config, err := c.write("scheduler.yaml", strings.ReplaceAll(who.config, "${KUBECONFIG}", c.kubeconfig))
	if err != nil {
		return result{}, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return result{}, err
	}
	running, err := c.start(who.program, "--config", config, "--secure-port", fmt.Sprint(ports[0]),
		"--bind-address", "127.0.0.1", "--cert-dir", filepath.Join(c.folder, "scheduler-certs"),
		"--authorization-always-allow-paths", "*")
	if err != nil {
		return result{}, err
	}
	measured, err := follow(ctx, bindings, running, pods, func() { c.keepProfile(who.name, ports[0]) })
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(c.folder, filepath.Base(who.program)+".log"))
		return result{}, fmt.Errorf("%s on %d nodes: %w; the end of its log:\n%s", who.name, nodes, err, log[max(0, len(log)-2000):])
	}
	say("%5d nodes  %-26s %7.1f pods/s  %6.2f ms CPU per pod  %d placed", nodes, who.name, measured.podsPerS, measured.cpuMsPerPod, measured.placed)
	printMetrics(ports[0])
	_ = running.Process.Kill()
	_ = running.Wait()
	c.processes = c.processes[:len(c.processes)-1]
	return measured, c.deletePods(ctx)
}

// follow counts bindings. The first one starts the clock; it is not counted itself.
func follow(ctx context.Context, bindings watch.Interface, running *exec.Cmd, pods int, began func()) (result, error) {
	var begin time.Time
	var cpu time.Duration
	limit := time.NewTimer(10 * time.Minute)
	defer limit.Stop()
	for placed := 0; ; {
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-limit.C:
			return result{}, fmt.Errorf("only %d of %d pods were placed", placed, pods)
		case event, ok := <-bindings.ResultChan():
			if !ok {
				return result{}, fmt.Errorf("the watch ended after %d of %d pods", placed, pods)
			}
			if pod, is := event.Object.(*v1.Pod); event.Type != watch.Added || !is || pod.Spec.NodeName == "" {
				continue
			}
			if placed++; placed == 1 {
				begin, cpu = time.Now(), cpuOf(running)
				began()
			}
			if placed == pods {
				timed := float64(pods - 1)
				return result{
					placed:      placed,
					podsPerS:    timed / time.Since(begin).Seconds(),
					cpuMsPerPod: float64((cpuOf(running) - cpu).Microseconds()) / 1000 / timed,
				}, nil
			}
		}
	}
}

// cpuOf is the CPU time of a process, which the kernel counts in hundredths of a second.
func cpuOf(process *exec.Cmd) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// keepProfile records eight seconds of the scheduler's CPU, beside the run, if a profile was asked for.
func (c *cluster) keepProfile(scheduler string, port int) {
	if c.profile == "" {
		return
	}
	go func() {
		profile, err := get(port, "/debug/pprof/profile?seconds=8")
		if err == nil {
			err = os.WriteFile(c.profile+"."+scheduler, profile, 0o600)
		}
		if err != nil {
			say("no profile of %s: %v", scheduler, err)
		}
	}()
}

// printMetrics shows how many answers were remembered, for whoever reads along.
func printMetrics(port int) {
	text, err := get(port, "/metrics")
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "weir_plugin_calls_total") || strings.HasPrefix(line, "weir_plugin_memo_") {
			say("      %s", line)
		}
	}
}

// get asks a scheduler of ours on loopback, whose certificate it has just made itself.
func get(port int, path string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", port, path))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
