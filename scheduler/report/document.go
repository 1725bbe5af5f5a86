// Package report writes down what a replica of the scheduler has in force, so that it can be read without a shell in it.
//
// It decides how often that is written and when what a dead replica left behind is taken away. What stands in it, the
// slots say.
package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Document is what one replica says of itself, as JSON under Key in a ConfigMap of its own.
type Document struct {
	// Replica is the name of the replica, the same one after a restart.
	Replica string `json:"replica"`

	// RenewedAt is when the replica wrote this, by its own clock. It writes at least every Renew; one that is older than
	// Expiry is dead.
	RenewedAt metav1.Time `json:"renewedAt"`

	// Plugins are all that it loaded, by name and then profile.
	Plugins []Plugin `json:"plugins"`
}

// Plugin is one plugin in one profile.
type Plugin struct {
	Plugin  string `json:"plugin"`
	Profile string `json:"profile,omitempty"`

	// Digest is of the module in force: "sha256:" and 64 hexadecimal digits. Version is what that module says of itself.
	Digest  string `json:"digest"`
	Version string `json:"version,omitempty"`

	// Mode is Active, or Shadow for a plugin that decides nothing yet.
	Mode string `json:"mode"`

	// Source is the guestURL. Since is when this module, with this configuration, was put in force.
	Source string      `json:"source"`
	Since  metav1.Time `json:"since"`

	// Points are by the name of the module's export, such as "filter".
	Points map[string]Point `json:"points"`

	// MemoHitRate is the remembered part of all answers, from 0 to 1.
	MemoHitRate float64 `json:"memoHitRate"`

	// Traps is how many calls of this module trapped.
	Traps uint64 `json:"traps"`

	LastSwap *Swap `json:"lastSwap,omitempty"`

	// ConfigMap is the guestConfigMap, as namespace/name, and ConfigRevision the resourceVersion of it that is in force.
	// Without the ConfigMap the args' own configuration is in force, and the revision is missing. ConfigHash is the
	// sha256 of the configuration in force, wherever it came from.
	ConfigMap      string `json:"configMap,omitempty"`
	ConfigRevision string `json:"configRevision,omitempty"`
	ConfigHash     string `json:"configHash"`

	// Candidate is what runs in the shadow of the module in force.
	Candidate *Candidate `json:"candidate,omitempty"`

	// Log is what happened last, the newest at the end.
	Log []Entry `json:"log"`
}

// Point counts the answers of one module at one extension point since the replica started. Two profiles that use the
// same module under the same name are counted together.
type Point struct {
	// Calls are all answers, remembered ones included.
	Calls      uint64 `json:"calls"`
	Remembered uint64 `json:"remembered"`

	// P50 and P99 are of the time of the calls that were not remembered, waiting for a free instance included, in
	// microseconds: an estimate from a histogram whose buckets double.
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

// Swap is what became of the last candidate: InForce, Refused or RolledBack. One that was refused for the shadow says so
// in its reason; one that runs in the shadow is in Candidate.
type Swap struct {
	Result string `json:"result"`

	// At tells one swap from the next, which may be of the same words and in the same second.
	At     metav1.MicroTime `json:"at"`
	Digest string           `json:"digest,omitempty"`
	Reason string           `json:"reason,omitempty"`
}

// Candidate is a module in the shadow: what it would have answered is compared and never used.
type Candidate struct {
	Digest  string      `json:"digest"`
	Version string      `json:"version,omitempty"`
	Mode    string      `json:"mode"`
	Source  string      `json:"source"`
	Since   metav1.Time `json:"since"`

	// Comparisons is how many answers were compared, Disagreements in how many of them the candidate answered another code
	// or score, and Failures how many of the disagreements were traps or answers of the code Error.
	Comparisons   uint64 `json:"comparisons"`
	Disagreements uint64 `json:"disagreements"`
	Failures      uint64 `json:"failures"`

	// Skipped is how many answers were not compared because the candidate had used up its time.
	Skipped uint64 `json:"skipped"`

	// Examples are the last disagreements.
	Examples []Example `json:"examples"`
}

// Example is one answer in which a candidate and the module in force disagreed.
type Example struct {
	At        metav1.Time `json:"at"`
	Point     string      `json:"point"`
	Pod       string      `json:"pod"`
	Node      string      `json:"node,omitempty"`
	InForce   string      `json:"inForce"`
	Candidate string      `json:"candidate"`
}

// Entry is one thing that happened to a plugin.
type Entry struct {
	At     metav1.Time `json:"at"`
	Event  string      `json:"event"`
	Digest string      `json:"digest,omitempty"`
	Reason string      `json:"reason,omitempty"`
}

// What an Entry is about.
const (
	EventLoaded      = "Loaded"      // at the start of the scheduler
	EventInForce     = "InForce"     // a candidate replaced the module in force
	EventConfigured  = "Configured"  // the same module with another configuration
	EventRefused     = "Refused"     // nothing changed
	EventRolledBack  = "RolledBack"  // the module before is in force again
	EventShadowed    = "Shadowed"    // a candidate runs in the shadow
	EventShadowEnded = "ShadowEnded" // and does not any more
	EventTrapped     = "Trapped"     // a call trapped; its instance was replaced
	EventNotPure     = "NotPure"     // the module answered the same question in two ways
	MaxEntries       = 50            // of a Log
	MaxExamples      = 10            // of a Candidate
)
