package memo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/kube-scheduler/framework"
)

func TestTheMemoryOfAMemoIsBounded(t *testing.T) {
	m := New()
	const nodes = 200_000 // two tables of them take 16 MiB: the fewest rows are kept
	kept := m.Row("kept", nodes)
	for i := range 40 {
		m.Row(fmt.Sprint(i), nodes)
		if m.Row("kept", nodes) != kept {
			t.Fatal("a row that is used all the time was dropped")
		}
	}
	if len(m.rows) != fewestRows {
		t.Errorf("there are %d rows, want %d", len(m.rows), fewestRows)
	}
}

func TestAModuleThatMakesUpASentenceForEachNodeDoesNotFillTheMemory(t *testing.T) {
	m := New()
	kept := m.Row("pod", 50)
	numbered := 0
	for i := range 20_000 {
		why := fmt.Sprintf("node n%d has bad luck, which takes %s", i, strings.Repeat("long ", 40))
		if _, ok := kept.verdicts.of(0, framework.NewStatus(framework.Unschedulable, why)); ok {
			numbered++
		}
	}
	if numbered > mostSentences || kept.verdicts.size() > mostSentenceBytes {
		t.Errorf("%d sentences of %d bytes are kept", numbered, kept.verdicts.size())
	}
	if number, ok := kept.verdicts.of(42, nil); !ok || number != 42 {
		t.Error("a score is not remembered any more")
	}
}

func TestLargePodsDropOthersFromTheMemoAndNeverFillTheMemory(t *testing.T) {
	m := New()
	for i := range 5000 {
		m.Row(fmt.Sprint(i, strings.Repeat("annotations", 20_000)), 50)
	}
	if m.bytes > memoBytes {
		t.Errorf("the memo says that it has %d bytes", m.bytes)
	}
	sum := 0
	for pod, at := range m.rows {
		sum += len(pod) + at.Value.(*Row).filter.size() + at.Value.(*Row).score.size()
	}
	if sum > memoBytes || m.order.Len() != len(m.rows) {
		t.Errorf("it has %d bytes in %d rows, of which %d are in order", sum, len(m.rows), m.order.Len())
	}
}

func TestManyKindsOfPodsTakeNoLongerThanFew(t *testing.T) {
	m := New()
	const kinds = 16_385
	took := func(turns int, kind func(int) string) time.Duration {
		began := time.Now()
		for i := range turns {
			m.Row(kind(i), 50)
		}
		return time.Since(began) / time.Duration(turns)
	}
	took(kinds, func(i int) string { return fmt.Sprint(i) })
	if each := took(kinds, func(i int) string { return fmt.Sprint("new", i) }); each > 100*time.Microsecond {
		t.Errorf("one more kind of pod takes %v", each)
	}
}
