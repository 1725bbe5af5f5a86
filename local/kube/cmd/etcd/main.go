// Command etcd is the upstream etcd server, built from its Go module: the same flags as a downloaded one,
// so that either can stand in for the other.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
