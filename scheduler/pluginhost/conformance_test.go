package pluginhost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
)

// The unmodified extension is the measure of our host: calls are recorded, and tests/extension/cmd/replay makes the same
// calls in it. What the two answer is the same, but for what is listed in sameAs.

// record and reply are Record and Answer of tests/extension/cmd/replay.
type record struct {
	Module, Settings, Point string
	Pod, Target             []byte
	Nodes                   [][]byte
	Node                    string
	Images                  []string
	Codes                   map[string]int
	Scores                  map[string]int64
	Waiting                 map[string][]byte
}

type reply struct {
	Code      int
	Reason    text
	Trapped   bool
	Score     int64
	Events    []string
	NodeNames []string
	Nominated *string
	WaitMs    int64
	Scores    map[string]int64
	Recorded  []string
	Rejected  []string
}

// text may hold any bytes, so it travels as bytes.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(from []byte) error {
	var bytes []byte
	err := json.Unmarshal(from, &bytes)
	*t = text(bytes)
	return err
}

// recordedCall is a call with what our host answered to it.
type recordedCall struct {
	record record
	ours   reply

	// echo is what the module answers with: the message of such an object; nil where it answers with text. Kubernetes 1.32
	// and 1.37 write down objects differently, so they are compared as they are read.
	echo func() message
}

// message is an object of the API.
type message interface{ Unmarshal([]byte) error }

// read is the object in a reason, as JSON.
func (c *recordedCall) read(reason text) text {
	if c.echo == nil {
		return reason
	}
	object := c.echo()
	if err := object.Unmarshal([]byte(reason)); err != nil {
		return text(fmt.Sprintf("%v: %q", err, reason))
	}
	written, err := json.Marshal(object)
	if err != nil {
		return text(err.Error())
	}
	return text(written)
}

func TestOurHostAnswersAsTheUnmodifiedExtensionDoes(t *testing.T) {
	recorded := recordings(t, healthy)
	const fewest = 2000
	if len(recorded) < fewest {
		t.Fatalf("%d calls are recorded, want %d", len(recorded), fewest)
	}
	theirs := replayed(t, recorded)
	differences, shown := 0, map[[2]string]bool{}
	for i, each := range recorded {
		if why := each.differsFrom(theirs[i]); why != "" {
			differences++
			if kind := [2]string{each.record.Point + filepath.Base(each.record.Module), why}; !shown[kind] {
				shown[kind] = true // one of each kind says enough
				t.Errorf("call %d, %s of %s: %s\nours   %s %+v\ntheirs %s %+v", i, each.record.Point, filepath.Base(each.record.Module), why,
					each.read(each.ours.Reason), each.ours, each.read(theirs[i].Reason), theirs[i])
			}
		}
	}
	t.Logf("%d calls, %d different; by point %v, by code %v", len(recorded), differences, pointsIn(recorded), codesIn(theirs))
	for code := range framework.Pending + 1 {
		if codesIn(theirs)[code.String()] == 0 {
			t.Errorf("no call is answered %s: the comparison shows less than it says", code)
		}
	}
}

func TestFaultsInTheHostAreFoundByTheComparison(t *testing.T) {
	sound := recordings(t, healthy)
	theirs := replayed(t, sound)
	for name, planted := range map[string]hostFault{
		"the pod of the call before is told": {stalePod: true},
		"a reason loses its last byte":       {shortReason: true},
		"a score stands in the other half":   {swappedHalves: true},
	} {
		found := 0
		for i, each := range recordings(t, planted) {
			if each.differsFrom(theirs[i]) != "" {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s, and no call shows it", name)
		}
		t.Logf("%s: %d of %d calls show it", name, found, len(sound))
	}
}

// hostFault is a mistake that is made on purpose.
type hostFault struct{ stalePod, shortReason, swappedHalves bool }

var healthy = hostFault{}

// differsFrom says what is different in the extension's answer; empty if nothing is.
func (c *recordedCall) differsFrom(theirs reply) string {
	ours := c.ours
	ours.Reason, theirs.Reason = c.read(ours.Reason), c.read(theirs.Reason)
	return sameAs(c.record.Point, ours, theirs)
}

// sameAs says what is different; empty if nothing is. On purpose our host answers Error where a module gives an answer that
// its point does not have, of which kube-scheduler would make an error of every pod, and leaves the reason of a success out,
// which kube-scheduler does not read.
func sameAs(point string, ours, theirs reply) string {
	at := guest.Points()[slices.IndexFunc(guest.Points(), func(p guest.Point) bool { return p.Export() == point })]
	if !slices.Contains(allowedCodes[at], framework.Code(theirs.Code)) || at == guest.Score && (theirs.Score < 0 || theirs.Score > framework.MaxScore) {
		if ours.Code != int(framework.Error) {
			return "an answer that the point does not have is let through"
		}
		return ""
	}
	switch {
	case ours.Code != theirs.Code || ours.Trapped != theirs.Trapped:
		return "the code"
	case !theirs.Trapped && theirs.Code != int(framework.Success) && !strings.HasSuffix(string(ours.Reason), string(theirs.Reason)):
		return "the reason"
	case ours.Score != theirs.Score:
		return "the score"
	case !slices.Equal(ours.Events, theirs.Events):
		return "the events"
	case !slices.Equal(ours.NodeNames, theirs.NodeNames) || !reflect.DeepEqual(ours.Nominated, theirs.Nominated):
		return "the nodes"
	case ours.WaitMs != theirs.WaitMs || !maps.Equal(ours.Scores, theirs.Scores):
		return "the time to wait, or the scores"
	case !slices.Equal(ours.Recorded, theirs.Recorded) || !slices.Equal(ours.Rejected, theirs.Rejected):
		return "what it did beside answering"
	}
	return ""
}

func pointsIn(recorded []recordedCall) map[string]int {
	counts := map[string]int{}
	for _, each := range recorded {
		counts[each.record.Point]++
	}
	return counts
}

func codesIn(replies []reply) map[string]int {
	counts := map[string]int{}
	for _, each := range replies {
		counts[framework.Code(each.Code).String()]++
	}
	return counts
}

// replayed are the extension's answers. WEIR_REPLAY names a replay that is built already.
func replayed(t *testing.T, recorded []recordedCall) []reply {
	t.Helper()
	program := os.Getenv("WEIR_REPLAY")
	if program == "" {
		program = filepath.Join(t.TempDir(), "replay")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/replay")
		build.Dir = filepath.Join("..", "..", "tests", "extension")
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the peer: %v\n%s", err, said)
		}
	}
	var calls, complaints bytes.Buffer
	lines := json.NewEncoder(&calls)
	for _, each := range recorded {
		if err := lines.Encode(each.record); err != nil {
			t.Fatal(err)
		}
	}
	replay := exec.Command(program)
	replay.Stdin, replay.Stderr = &calls, &complaints
	out, err := replay.Output()
	if err != nil {
		said := complaints.String()
		t.Fatalf("the peer ended with %v: %s", err, said[max(0, len(said)-2000):])
	}
	var replies []reply
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var each reply
		if err := json.Unmarshal(scanner.Bytes(), &each); err != nil {
			t.Fatal(err)
		}
		slices.Sort(each.Events)
		replies = append(replies, each)
	}
	if len(replies) != len(recorded) {
		t.Fatalf("%d answers to %d calls", len(replies), len(recorded))
	}
	return replies
}
