package memo

import (
	"sync"
	"testing"
)

func TestATableOfTwiceItsNodesForgetsTheOldestKeys(t *testing.T) {
	var answers table
	answers.makeRoom(1000)
	const keys = 20_000
	for key := uint64(1); key <= keys; key++ {
		answers.put(key, key%100)
	}
	missing := 0
	for key := uint64(keys - 999); key <= keys; key++ {
		number, ok := answers.get(key)
		if ok && number != key%100 {
			t.Fatalf("key %d gives %d", key, number)
		}
		if !ok {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of the last 1000 keys are forgotten", missing)
	}
}

// A node in a thousand changes with every pod. The others are asked about with every pod too, and are not forgotten for it.
func TestKeysThatAreAskedForAgainAndAgainOutliveThoseThatAreNot(t *testing.T) {
	var answers table
	const nodes, pods = 1000, 10_000
	answers.makeRoom(nodes)
	current := [nodes]uint64{}
	for node := range current {
		current[node] = uint64(node + 1)
		answers.put(current[node], 7)
	}
	missing, key := 0, uint64(nodes)
	for pod := range pods {
		key++
		current[pod%100] = key // packing fills one host after the other
		for _, key := range current {
			if _, ok := answers.get(key); !ok {
				missing++
				answers.put(key, 7)
			}
		}
	}
	if unavoidable := pods; missing > unavoidable+unavoidable/2 {
		t.Errorf("%d answers were missing, of which %d are of nodes that had changed", missing, unavoidable)
	}
}

func TestATableKeepsWhatItHasWhenItGrows(t *testing.T) {
	var answers table
	answers.makeRoom(10)
	for key := uint64(1); key <= 40; key++ {
		answers.put(key, 7)
	}
	answers.makeRoom(5000)
	for key := uint64(1); key <= 40; key++ {
		if number, ok := answers.get(key); !ok || number != 7 {
			t.Errorf("key %d is lost", key)
		}
	}
}

func TestAKeyThatWasNeverPutIsNotThere(t *testing.T) {
	var answers table
	answers.makeRoom(10)
	for _, key := range []uint64{0, 1, 1 << keyBits} {
		answers.put(1<<keyBits, 5)
		if _, ok := answers.get(key); ok {
			t.Errorf("key %d is there", key)
		}
	}
}

func TestParallelWritersNeverMixUpKeyAndNumber(t *testing.T) {
	var answers table
	answers.makeRoom(1)
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			for key := uint64(1); key < 3000; key++ {
				answers.put(key, key%mostVerdicts)
				if number, ok := answers.get(key + uint64(writer)); ok && number != key+uint64(writer) {
					t.Errorf("key %d gives %d", key+uint64(writer), number)
				}
			}
		}()
	}
	writers.Wait()
}
