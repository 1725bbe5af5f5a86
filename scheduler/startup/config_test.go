package startup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/utils/clock"

	"sigs.k8s.io/yaml"

	"weir.dev/scheduler/binder"
	"weir.dev/scheduler/internal/wasmtest"
	"weir.dev/scheduler/pluginhost"
	"weir.dev/scheduler/preemption"
	"weir.dev/scheduler/startup"
)

// kubeconfig reaches nobody: a scheduler that is set up and not run asks nothing of the API server.
const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
`

// setUp does what the command does before it runs: it reads the configuration, loads the guests, builds the profiles.
func setUp(t testing.TB, configPath string) (*scheduler.Scheduler, error) {
	t.Helper()
	return setUpWith(t, configPath, pluginhost.NewHost(clock.RealClock{}, 1))
}

func setUpWith(t testing.TB, configPath string, host *pluginhost.Host) (*scheduler.Scheduler, error) {
	t.Helper()
	compatibility.DefaultComponentGlobalsRegistry.Reset()
	opts := options.NewOptions()
	opts.ConfigFile = configPath
	opts.SecureServing.BindPort = 0
	plugins := []app.Option{
		app.WithPlugin(binder.Name, binder.Factory(host.PlacedBy)),
		app.WithPlugin(preemption.Name, preemption.Factory()),
	}
	for _, name := range startup.GuestNames([]string{"--config", configPath}) {
		plugins = append(plugins, app.WithPlugin(name, host.Factory(name)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	_, made, err := app.Setup(ctx, opts, plugins...)
	return made, err
}

// shipped is scheduler-config/weir.yaml as a launcher fills it in.
func shipped(t testing.TB, plugins string) string {
	t.Helper()
	text, err := os.ReadFile("../../scheduler-config/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return filled(t, string(text), plugins)
}

func filled(t testing.TB, text, plugins string) string {
	t.Helper()
	dir := t.TempDir()
	access := filepath.Join(dir, "kubeconfig")
	written := filepath.Join(dir, "config.yaml")
	text = strings.NewReplacer("${KUBECONFIG}", access, "${WEIR_PLUGINS}", plugins).Replace(text)
	for path, content := range map[string]string{access: kubeconfig, written: text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return written
}

// standIns are modules with the exports of the real ones and nothing in them.
func standIns(t *testing.T) string {
	t.Helper()
	i32, i64 := []wasmtest.ValueType{wasmtest.I32}, []wasmtest.ValueType{wasmtest.I64}
	dir := t.TempDir()
	for name, guest := range map[string]*wasmtest.Module{
		"gpu-filter":           wasmtest.New().Func("enqueue", nil).Func("filter", i32, wasmtest.Const(0)),
		"sku-exclusion-filter": wasmtest.New().Func("enqueue", nil).Func("filter", i32, wasmtest.Const(0)),
		"binpack-score":        wasmtest.New().Func("prescore", i32, wasmtest.Const(0)).Func("score", i64, wasmtest.Const64(0)),
		"loadaware-score":      wasmtest.New().Func("prescore", i32, wasmtest.Const(0)).Func("score", i64, wasmtest.Const64(0)),
		"score":                wasmtest.New().Func("score", i64, wasmtest.Const64(0)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), guest.Packed(1000).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// table is what a profile really does, defaults of kube-scheduler included.
func table(made *scheduler.Scheduler, profile string) string {
	plugins := made.Profiles[profile].ListPlugins()
	var out strings.Builder
	row := func(point string, set config.PluginSet) {
		fmt.Fprintf(&out, "%-10s", point)
		for _, plugin := range set.Enabled {
			fmt.Fprintf(&out, " %s", plugin.Name)
			if plugin.Weight != 0 {
				fmt.Fprintf(&out, "=%d", plugin.Weight)
			}
		}
		out.WriteString("\n")
	}
	row("preFilter", plugins.PreFilter)
	row("filter", plugins.Filter)
	row("postFilter", plugins.PostFilter)
	row("groupPostFilter", plugins.PodGroupPostFilter)
	row("preScore", plugins.PreScore)
	row("score", plugins.Score)
	row("reserve", plugins.Reserve)
	row("permit", plugins.Permit)
	row("preBind", plugins.PreBind)
	row("bind", plugins.Bind)
	row("postBind", plugins.PostBind)
	return out.String()
}

func TestTheShippedConfigurationHasThisEffectiveTable(t *testing.T) {
	made, err := setUp(t, shipped(t, standIns(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
preFilter  NodeName NodeUnschedulable TaintToleration NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures GPUFilter SKUExclusionFilter BinPackScore LoadAwareScore
filter     NodeName NodeUnschedulable TaintToleration NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures GPUFilter SKUExclusionFilter
postFilter DynamicResources
groupPostFilter DynamicResources
preScore   TaintToleration NodeAffinity VolumeBinding PodTopologySpread InterPodAffinity BinPackScore LoadAwareScore
score      TaintToleration=3 NodeAffinity=2 VolumeBinding=1 PodTopologySpread=2 InterPodAffinity=2 DynamicResources=2 BinPackScore=100 LoadAwareScore=10
reserve    VolumeBinding DynamicResources
permit    
preBind    VolumeBinding DynamicResources
bind       RecordingBinder
postBind  
`, "\n")
	got := table(made, "weir-scheduler")
	t.Log("\n" + got)
	if normal(got) != normal(want) {
		t.Errorf("the effective table is\n%s\nwant\n%s", got, want)
	}
}

func TestTheClustersOwnSchedulerIsUpstreamsWithTheFiltersAndAPreemptionThatSparesWhatIsAdmitted(t *testing.T) {
	made, err := setUp(t, shipped(t, standIns(t)))
	if err != nil {
		t.Fatal(err)
	}
	got := made.Profiles["default-scheduler"].ListPlugins()
	want, err := setUp(t, filled(t, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nclientConnection: {kubeconfig: \"${KUBECONFIG}\"}\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	upstream := want.Profiles["default-scheduler"].ListPlugins()
	ours := []config.Plugin{{Name: "GPUFilter"}, {Name: "SKUExclusionFilter"}}
	upstream.PreFilter.Enabled = append(upstream.PreFilter.Enabled, ours...)
	upstream.Filter.Enabled = append(upstream.Filter.Enabled, ours...)
	upstream.Bind.Enabled = []config.Plugin{{Name: binder.Name}}
	for _, set := range []*config.PluginSet{&upstream.PreEnqueue, &upstream.PostFilter, &upstream.PodGroupPostFilter} {
		set.Enabled = append(slices.DeleteFunc(set.Enabled, func(each config.Plugin) bool {
			return each.Name == names.DefaultPreemption
		}), config.Plugin{Name: preemption.Name})
	}
	if !reflect.DeepEqual(got, upstream) {
		t.Errorf("it is\n%v\nwant\n%v", got, upstream)
	}
}

func TestTheListInTheConfigurationIsTheOneOfTheConfigMap(t *testing.T) {
	var file struct {
		Data map[string]string
	}
	text, err := os.ReadFile("../../scheduler-config/special-hardware.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile("../../scheduler-config/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var parsed settings
	if err := yaml.Unmarshal(shipped, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, profile := range parsed.Profiles {
		for _, plugin := range profile.PluginConfig {
			list := file.Data["special-hardware.json"]
			if plugin.Name == "SKUExclusionFilter" && plugin.Args.GuestConfig != list {
				t.Errorf("profile %s has\n%s\nand the ConfigMap\n%s", profile.SchedulerName, plugin.Args.GuestConfig, list)
			}
		}
	}
}

// settings is the part of a scheduler's configuration that the test above reads.
type settings struct {
	Profiles []struct {
		SchedulerName string
		PluginConfig  []struct {
			Name string
			Args struct{ GuestConfig string }
		}
	}
}

func normal(table string) string {
	lines := strings.Split(table, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

const twoProfiles = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: "${KUBECONFIG}"}
profiles:
  - schedulerName: a
    plugins: {multiPoint: {enabled: [{name: Mine}]}}
    pluginConfig: [{name: Mine, args: {guestURL: "file://${WEIR_PLUGINS}/score.wasm"}}]
  - schedulerName: b
    plugins: {multiPoint: {enabled: [{name: Mine, weight: 7}]}}
    pluginConfig: [{name: Mine, args: {guestURL: "file://${WEIR_PLUGINS}/gpu-filter.wasm"}}]
`

func TestTwoProfilesMayUseOnePluginNameForDifferentModules(t *testing.T) {
	made, err := setUp(t, filled(t, twoProfiles, standIns(t)))
	if err != nil {
		t.Fatal(err)
	}
	a, b := table(made, "a"), table(made, "b")
	if !strings.Contains(a, " Mine=1") || strings.Contains(b, " Mine=") {
		t.Errorf("profile a should score and b only filter; they are\n%s\n%s", a, b)
	}
}

func TestAPluginThatCannotBeLoadedStopsTheStartWithItsNameAndFile(t *testing.T) {
	_, err := setUp(t, filled(t, twoProfiles, "/nowhere"))
	for _, want := range []string{"scheduler name", "Mine", "file:///nowhere/"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAConfigurationThatCannotBeReadIsLeftForTheCommandToRefuse(t *testing.T) {
	for _, args := range [][]string{{}, {"--v=2"}, {"--config", "/nowhere/config.yaml"}} {
		if names := startup.GuestNames(args); len(names) != 0 {
			t.Errorf("GuestNames(%q) = %q, want none", args, names)
		}
	}
}
