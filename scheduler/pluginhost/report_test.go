package pluginhost

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/module"
	"weir.dev/scheduler/report"
)

// events are those of the log, oldest first.
func logged(row report.Plugin) string {
	var events []string
	for _, entry := range row.Log {
		events = append(events, entry.Event)
	}
	return strings.Join(events, " ")
}

func TestTheReportSaysWhatIsInForceAndWhatBecameOfTheLastCandidates(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	if row := s.report(); row.Digest != module.DigestOf(answering("old").Bytes()) || row.Version != "0.0.0" || row.LastSwap != nil ||
		row.Profile != "profile" || row.Mode != "Active" || row.Source != "file://"+s.file || logged(row) != "Loaded" {
		t.Errorf("at first it says %+v", row)
	}
	loaded := s.report().Since

	s.replace(t, []byte("no module"))
	s.event(t)
	row := s.report()
	if row.Digest != module.DigestOf(answering("old").Bytes()) || row.Since != loaded || row.LastSwap.Result != "Refused" ||
		!strings.Contains(row.LastSwap.Reason, "is not a WebAssembly module") {
		t.Errorf("after a candidate that is none it says %+v, %+v", row, row.LastSwap)
	}

	s.replace(t, answering("new").Bytes())
	s.event(t)
	row = s.report()
	if row.Digest != module.DigestOf(answering("new").Bytes()) || row.LastSwap.Result != "InForce" || logged(row) != "Loaded Refused InForce" {
		t.Errorf("after the swap it says %+v, %+v", row, row.LastSwap)
	}
}

func TestTheReportedRevisionIsThatOfTheConfigurationInForceAndNeverAheadOfIt(t *testing.T) {
	s := startSwapping(t, saysConfig(), Args{GuestConfigMap: "weir-system/special-hardware"}, configMap("special-hardware", "1", "first"))
	s.synced(t)
	before := s.report()
	if before.ConfigRevision != "1" || before.ConfigMap != "weir-system/special-hardware" {
		t.Fatalf("it says %+v", before)
	}
	two := configMap("special-hardware", "2", "first")
	two.Data["another"] = "and so none can be the configuration"
	if _, err := s.client.CoreV1().ConfigMaps("weir-system").Update(t.Context(), two, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if refused := s.report(); refused.ConfigRevision != "1" || refused.ConfigHash != before.ConfigHash {
		t.Errorf("a configuration that cannot be used is reported as %q", refused.ConfigRevision)
	}
	if _, err := s.client.CoreV1().ConfigMaps("weir-system").Update(t.Context(), configMap("special-hardware", "3", "third"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if after := s.report(); after.ConfigRevision != "3" || after.ConfigHash == before.ConfigHash || logged(after) != "Loaded Refused Configured" {
		t.Errorf("it says %q, hash %s, %s", after.ConfigRevision, after.ConfigHash, logged(after))
	}
}

func TestTheReportCountsAnswersAndTrapsOfTheModuleInForce(t *testing.T) {
	s := startSwapping(t, trapper(), Args{})
	for range 8 {
		s.ask(t, "a")
	}
	for range 2 {
		if status := s.ask(t, "trap"); status.Code() != framework.Error {
			t.Fatal("it does not trap")
		}
	}
	row := s.report()
	// The self-test is a call too.
	if filter := row.Points["filter"]; filter.Calls != 11 || filter.Remembered != 0 || filter.P50 <= 0 || filter.P99 < filter.P50 {
		t.Errorf("of filter it says %+v", filter)
	}
	if row.Traps != 2 || logged(row) != "Loaded Trapped" || !strings.Contains(row.Log[1].Reason, "2 times") {
		t.Errorf("of traps it says %d, and %+v", row.Traps, row.Log)
	}
}

func TestTheHitRateIsTheRememberedPartOfAllAnswers(t *testing.T) {
	s := startSwapping(t, answering("no"), Args{})
	s.host.recheckOneIn = 0
	for range 6 {
		s.ask(t, "a")
	}
	// The self-test and the first answer were calls, five were remembered.
	row := s.report()
	if filter := row.Points["filter"]; filter.Calls != 7 || filter.Remembered != 5 || row.MemoHitRate != 5.0/7 {
		t.Errorf("it says %+v and %v", filter, row.MemoHitRate)
	}
}

func TestALogIsBoundedAndKeepsWhatHappenedLast(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	for range 60 {
		s.swaps.history.refused(s.host.clock.Now(), "", "too large")
	}
	s.swaps.history.refused(s.host.clock.Now(), "", strings.Repeat("x", 5000))
	row := s.report()
	if last := row.Log[len(row.Log)-1]; len(row.Log) != 50 || len(last.Reason) > 1010 {
		t.Errorf("there are %d entries, the last with %d bytes", len(row.Log), len(last.Reason))
	}
}

func TestAHostReportsAllItsSlotsUntilTheyAreClosed(t *testing.T) {
	s := startSwapping(t, answering("old"), Args{})
	if rows := s.host.Report(); len(rows) != 1 || rows[0].Plugin != t.Name() {
		t.Errorf("it reports %+v", rows)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if rows := s.host.Report(); len(rows) != 0 {
		t.Errorf("after the end it reports %+v", rows)
	}
}
