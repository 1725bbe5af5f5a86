package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	wasm "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/plugin"
)

// loaded are the plugins by module and settings, each with a handle of its own.
type loaded map[[2]string]*plugin

type plugin struct {
	framework.Plugin
	handle *handle
}

// get loads a plugin at its first call, and again after a trap: the extension would go on with its half-done memory.
func (l loaded) get(ctx context.Context, record *Record) (*plugin, error) {
	key := [2]string{record.Module, record.Settings}
	if found, ok := l[key]; ok {
		return found, nil
	}
	made := &plugin{handle: &handle{}}
	var err error
	made.Plugin, err = wasm.NewFromConfig(ctx, "replay", wasm.PluginConfig{GuestURL: "file://" + record.Module, GuestConfig: record.Settings}, made.handle)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", record.Module, err)
	}
	l[key] = made
	return made, nil
}

func (l loaded) answer(ctx context.Context, record *Record) (answer *Answer, err error) {
	asked, err := l.get(ctx, record)
	if err != nil {
		return nil, err
	}
	pod, err := podOf(record.Pod)
	if err != nil {
		return nil, err
	}
	if err := asked.handle.begin(record); err != nil {
		return nil, err
	}
	answer = &Answer{}
	defer func() {
		if recovered := recover(); recovered != nil {
			answer.Code, answer.Trapped = int(framework.Error), true
		}
		if answer.Trapped {
			_ = asked.Plugin.(io.Closer).Close()
			delete(l, [2]string{record.Module, record.Settings})
		}
		answer.Recorded, answer.Rejected = asked.handle.recorded, asked.handle.rejected
	}()
	status, err := asked.call(ctx, record, pod, answer)
	answer.take(status)
	return answer, err
}

// take notes a status. The extension wraps a trap as a Go error and builds an answer from code and reason: of a wrapped
// error a Status returns the same value each time, of a built one a new one.
func (a *Answer) take(status *framework.Status) {
	a.Code, a.Reason = int(status.Code()), []byte(status.Message())
	if err := status.AsError(); status.Code() == framework.Error && err == status.AsError() {
		a.Trapped, a.Reason = true, nil
	}
}

func (p *plugin) call(ctx context.Context, record *Record, pod *v1.Pod, answer *Answer) (*framework.Status, error) {
	state := framework.NewCycleState()
	node := p.handle.byName[record.Node]
	switch record.Point {
	case "enqueue":
		events, err := p.Plugin.(framework.EnqueueExtensions).EventsToRegister(ctx)
		for _, each := range events {
			answer.Events = append(answer.Events, string(each.Event.Resource)+"/"+strconv.FormatInt(int64(each.Event.ActionType), 10))
		}
		return framework.AsStatus(err), nil
	case "prefilter":
		result, status := p.Plugin.(framework.PreFilterPlugin).PreFilter(ctx, state, pod)
		if !result.AllNodes() {
			answer.NodeNames = slices.Sorted(maps.Keys(result.NodeNames))
		}
		return status, nil
	case "filter":
		return p.Plugin.(framework.FilterPlugin).Filter(ctx, state, pod, node), nil
	case "addpod", "removepod":
		return p.otherPod(ctx, state, record, pod, node)
	case "postfilter":
		result, status := p.Plugin.(framework.PostFilterPlugin).PostFilter(ctx, state, pod, codesOf(record.Codes))
		if result != nil && result.NominatingInfo != nil && result.Mode() == framework.ModeOverride {
			answer.Nominated = &result.NominatedNodeName
		}
		return status, nil
	case "prescore":
		return p.Plugin.(framework.PreScorePlugin).PreScore(ctx, state, pod, p.handle.nodes), nil
	case "score":
		score, status := p.Plugin.(framework.ScorePlugin).Score(ctx, state, pod, record.Node)
		if status.IsSuccess() {
			answer.Score = score
		}
		return status, nil
	case "normalizescore":
		return p.normalize(ctx, state, record, pod, answer), nil
	}
	return p.binding(ctx, state, record, pod, answer)
}

func (p *plugin) normalize(ctx context.Context, state *framework.CycleState, record *Record, pod *v1.Pod, answer *Answer) *framework.Status {
	var scores framework.NodeScoreList
	for _, name := range slices.Sorted(maps.Keys(record.Scores)) {
		scores = append(scores, framework.NodeScore{Name: name, Score: record.Scores[name]})
	}
	status := p.Plugin.(framework.ScorePlugin).ScoreExtensions().NormalizeScore(ctx, state, pod, scores)
	answer.Scores = map[string]int64{} // they come back in any order
	for _, each := range scores {
		answer.Scores[each.Name] = each.Score
	}
	return status
}

func (p *plugin) otherPod(ctx context.Context, state *framework.CycleState, record *Record, pod *v1.Pod, node *framework.NodeInfo) (*framework.Status, error) {
	target, err := podOf(record.Target)
	if err != nil {
		return nil, err
	}
	other, err := framework.NewPodInfo(target)
	if err != nil {
		return nil, err
	}
	extensions := p.Plugin.(framework.PreFilterPlugin).PreFilterExtensions()
	if extensions == nil {
		return nil, errors.New("it has no PreFilterExtensions")
	}
	if record.Point == "addpod" {
		return extensions.AddPod(ctx, state, pod, other, node), nil
	}
	return extensions.RemovePod(ctx, state, pod, other, node), nil
}

func (p *plugin) binding(ctx context.Context, state *framework.CycleState, record *Record, pod *v1.Pod, answer *Answer) (*framework.Status, error) {
	switch record.Point {
	case "reserve":
		return p.Plugin.(framework.ReservePlugin).Reserve(ctx, state, pod, record.Node), nil
	case "unreserve":
		p.Plugin.(framework.ReservePlugin).Unreserve(ctx, state, pod, record.Node)
		return nil, nil
	case "permit":
		status, wait := p.Plugin.(framework.PermitPlugin).Permit(ctx, state, pod, record.Node)
		answer.WaitMs = wait.Milliseconds()
		return status, nil
	case "prebind":
		return p.Plugin.(framework.PreBindPlugin).PreBind(ctx, state, pod, record.Node), nil
	case "bind":
		return p.Plugin.(framework.BindPlugin).Bind(ctx, state, pod, record.Node), nil
	case "postbind":
		p.Plugin.(framework.PostBindPlugin).PostBind(ctx, state, pod, record.Node)
		return nil, nil
	}
	return nil, fmt.Errorf("there is no point %q", record.Point)
}

func podOf(message []byte) (*v1.Pod, error) {
	pod := &v1.Pod{}
	if err := pod.Unmarshal(message); err != nil {
		return nil, fmt.Errorf("reading a pod: %w", err)
	}
	return pod, nil
}

func codesOf(codes map[string]int) framework.NodeToStatusReader {
	statuses := framework.NewDefaultNodeToStatus()
	for node, code := range codes {
		statuses.Set(node, framework.NewStatus(framework.Code(code)))
	}
	return statuses
}
