package pluginhost

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/module"
	"weir.dev/scheduler/origin"
)

// spec is what a version is made of. It never changes.
type spec struct {
	module *module.Module
	config string

	// revision is the resourceVersion of the ConfigMap that the configuration came from; empty if it stands in the args.
	revision string
}

// same says whether two recipes make the same version. The revision alone does not change what a guest answers.
func (r spec) same(other spec) bool {
	return r.module.Digest == other.module.Digest && r.config == other.config
}

// name tells versions apart for people, by the beginnings of two digests: of the module, and of the configuration if there
// is one.
func (r spec) name() string {
	if r.config == "" {
		return r.module.ShortDigest()
	}
	return r.module.ShortDigest() + " settings " + module.Short(r.configDigest())
}

func (r spec) configDigest() string { return module.DigestOf([]byte(r.config)) }

// sources is where a slot's module, its candidate and its configuration come from. It reads, follows and holds a module
// to the slot's bounds; it puts nothing in force.
type sources struct {
	args       Args
	key        ed25519.PublicKey // nil if no signature is asked for
	configMaps *origin.ConfigMaps

	module origin.Origin

	// candidate is where a module for the shadow would be, at shadowURL; nil if there is no such place.
	candidate origin.Origin
	shadowURL string

	// parsed is the last module of each URL, for a source is read again whenever anything beside it has changed.
	parsed map[string]*module.Module
}

// found is what lies at the sources at one time, or why it could not be read.
type found struct {
	module    *module.Module
	moduleErr error

	config, revision string
	configErr        error

	// candidate is the module for the shadow, nil if there is none.
	candidate    *module.Module
	candidateErr error

	// mark tells one content of the module's source from another: the module with its signature.
	mark string
}

// read reads all sources. It may take as long as a network lets it, so nobody holds a lock meanwhile.
func (s *sources) read(ctx context.Context) (all found) {
	all.module, all.mark, all.moduleErr = s.readModule(ctx)
	all.config, all.revision, all.configErr = s.readConfig(ctx)
	all.candidate, all.candidateErr = s.readCandidate(ctx)
	return all
}

// incomplete says that something could not be read, which may have been the network.
func (f *found) incomplete() bool {
	return f.moduleErr != nil || f.configErr != nil || f.candidateErr != nil
}

// shadowSuffix and the URL of a file or of a ConfigMap's key is where a candidate for the shadow is looked for.
const shadowSuffix = ".shadow"

func newSources(args Args, handle framework.Handle) (*sources, error) {
	s := &sources{args: args, configMaps: origin.NewConfigMaps(handle.ClientSet()), parsed: map[string]*module.Module{}}
	options := origin.Options{ConfigMaps: s.configMaps}
	var err error
	if args.PublicKey != "" {
		options.Signature = origin.SignatureWanted
		if s.key, err = module.ParsePublicKey("args.publicKey", args.PublicKey); err != nil {
			return nil, err
		}
	}
	if args.Digest == "" {
		options.PollEvery = args.pollEvery()
	}
	if s.module, err = origin.Parse("args.guestURL", args.GuestURL, options); err != nil {
		return nil, err
	}
	if s.shadowURL = args.shadowURL(); s.shadowURL != "" {
		options.PollEvery = args.pollEvery()
		s.candidate, err = origin.Parse("args.shadowURL", s.shadowURL, options)
	}
	return s, err
}

// readModule gets the module that is at guestURL now.
func (s *sources) readModule(ctx context.Context) (read *module.Module, mark string, err error) {
	blob, err := s.module.Read(ctx)
	if err != nil {
		return nil, "", err
	}
	digest := module.DigestOf(blob.Bytes)
	read, err = s.admitted(ctx, blob, digest, s.args.GuestURL, s.args.Digest)
	return read, digest + module.DigestOf(blob.Signature), err
}

// readCandidate gets the module for the shadow; nil if there is none.
func (s *sources) readCandidate(ctx context.Context) (*module.Module, error) {
	if s.candidate == nil {
		return nil, nil
	}
	blob, err := s.candidate.Read(ctx)
	if errors.Is(err, origin.ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.admitted(ctx, blob, module.DigestOf(blob.Bytes), s.shadowURL, "")
}

// admitted is a module that may be loaded, judged by its bytes alone: none of its code has run.
func (s *sources) admitted(ctx context.Context, blob origin.Blob, digest, url, wanted string) (*module.Module, error) {
	read := s.parsed[url]
	if read == nil || read.Digest != digest {
		var err error
		if read, err = module.Parse(ctx, url, blob.Bytes); err != nil {
			return nil, err
		}
		s.parsed[url] = read
	}
	if wanted != "" && read.Digest != wanted {
		return nil, fmt.Errorf("%s is %s and args.digest asks for %s", url, read.Digest, wanted)
	}
	if s.key != nil {
		if err := read.SignedBy(s.key, blob.Signature); err != nil {
			return nil, err
		}
		read.Signature = blob.Signature
	}
	return read, read.Within(s.args.bounds())
}

// readConfig gets the configuration, and the resourceVersion of the ConfigMap that it came from: empty if it came from
// the args.
func (s *sources) readConfig(ctx context.Context) (config, revision string, err error) {
	if s.args.GuestConfigMap == "" {
		return s.args.GuestConfig, "", nil
	}
	name, err := origin.ParseName("args.guestConfigMap", s.args.GuestConfigMap)
	if err != nil {
		return "", "", err
	}
	holder, err := s.configMaps.Get(ctx, name)
	if apierrors.IsNotFound(err) {
		return s.args.GuestConfig, "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("guestConfigMap %q: %w", s.args.GuestConfigMap, err)
	}
	if len(holder.Data) != 1 {
		return "", "", fmt.Errorf("guestConfigMap %q has %d keys in its data; expected one, whose value is the guest's configuration",
			s.args.GuestConfigMap, len(holder.Data))
	}
	for _, value := range holder.Data {
		config = value
	}
	return config, holder.ResourceVersion, nil
}

// retryAfter is when a change is looked at again that could not be dealt with.
const retryAfter = 10 * time.Second

// follow calls changed, from one goroutine, whenever something may have changed at the sources, until the context ends.
// Changed says whether it dealt with the change; otherwise it is called again after a while.
func (s *sources) follow(ctx context.Context, changed func() bool) error {
	signal := make(chan struct{}, 1)
	notify := func() {
		select {
		case signal <- struct{}{}:
		default: // one that is not taken yet stands for this one too
		}
	}
	if err := s.followAll(ctx, notify); err != nil {
		return err
	}
	notify() // for what changed between the first reading and now
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signal:
				if !changed() {
					time.AfterFunc(retryAfter, notify)
				}
			}
		}
	}()
	return nil
}

// followAll follows the candidate only where following the module does not do so already.
func (s *sources) followAll(ctx context.Context, notify func()) error {
	if err := s.module.Follow(ctx, notify); err != nil {
		return err
	}
	if s.candidate != nil && s.args.ShadowURL != "" {
		if err := s.candidate.Follow(ctx, notify); err != nil {
			return err
		}
	}
	if s.args.GuestConfigMap == "" {
		return nil
	}
	name, err := origin.ParseName("args.guestConfigMap", s.args.GuestConfigMap)
	if err != nil {
		return err
	}
	return s.configMaps.Follow(ctx, name, notify)
}
