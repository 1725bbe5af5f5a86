// Command replay makes recorded calls of plugins in the unmodified extension: a record on each line of its input, an answer
// on each line of its output, both as JSON. scheduler/conformance makes the same calls in our own host and compares.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// Record is a call of a plugin.
type Record struct {
	// Module is the file of the module, Settings its configuration.
	Module, Settings string

	// Point is the extension point, by the name of the module's export.
	Point string

	// Pod, Target and Nodes are protobuf messages. The call is about the node of this name, if it is about one.
	Pod, Target []byte
	Nodes       [][]byte
	Node        string

	// Images are told of each node; Codes are the status codes by node at postfilter, Scores the scores at normalizescore.
	Images []string
	Codes  map[string]int
	Scores map[string]int64

	// Waiting are the pods that wait at Permit, by UID.
	Waiting map[string][]byte
}

// Answer is what became of it.
type Answer struct {
	Code    int
	Reason  []byte
	Trapped bool
	Score   int64

	// Events are what enqueue asks for, as "Resource/bits"; NodeNames what prefilter leaves; Nominated what postfilter
	// nominates; WaitMs how long permit waits; Scores what normalizescore makes of them.
	Events    []string         `json:",omitempty"`
	NodeNames []string         `json:",omitempty"`
	Nominated *string          `json:",omitempty"`
	WaitMs    int64            `json:",omitempty"`
	Scores    map[string]int64 `json:",omitempty"`

	// Recorded are the events that the module had written, Rejected the waiting pods that it rejected.
	Recorded []string `json:",omitempty"`
	Rejected []string `json:",omitempty"`
}

func main() {
	if err := replay(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func replay(ctx context.Context, from io.Reader, to io.Writer) error {
	lines := bufio.NewScanner(from)
	const longest = 64 << 20
	lines.Buffer(nil, longest)
	out := bufio.NewWriter(to)
	answers := json.NewEncoder(out)
	plugins := loaded{}
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var record Record
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		answer, err := plugins.answer(ctx, &record)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}
