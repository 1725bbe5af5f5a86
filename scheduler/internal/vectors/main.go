// Command vectors writes what Kubernetes itself says about quantities and about pods' requests, so that the Rust tests
// of policy/model can hold our own arithmetic against it:
//
//	go run ./internal/vectors -out ../policy/model/tests/vectors
//
// The output depends on nothing but the versions of the Kubernetes modules; a changed file means that Kubernetes changed.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "", "folder to write quantities.json and requests.json to")
	flag.Parse()
	if *out == "" {
		log.Fatal("-out: name the folder, such as ../policy/model/tests/vectors")
	}
	write(filepath.Join(*out, "quantities.json"), quantities())
	write(filepath.Join(*out, "requests.json"), requests())
}

// write puts each vector on a line of its own, so that a difference can be read.
func write[T any](path string, vectors []T) {
	var text bytes.Buffer
	text.WriteString("[\n")
	for i, vector := range vectors {
		line, err := json.Marshal(vector)
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		text.Write(line)
		if i < len(vectors)-1 {
			text.WriteByte(',')
		}
		text.WriteByte('\n')
	}
	text.WriteString("]\n")
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
	log.Printf("%s: %d vectors", path, len(vectors))
}
