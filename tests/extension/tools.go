//go:build tools

// Package extension holds the unmodified kube-scheduler-wasm-extension, as a peer of our own host: its scheduler, which the
// end-to-end tests run with our modules, and tests of the modules in it. It is a module of its own because the extension
// can be had for Kubernetes 1.32 only.
package extension

import _ "sigs.k8s.io/kube-scheduler-wasm-extension/scheduler/cmd/scheduler"
