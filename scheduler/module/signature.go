package module

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
)

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseDigest refuses what is not "sha256:" and 64 hexadecimal digits.
func ParseDigest(field, text string) (string, error) {
	if !digestForm.MatchString(text) {
		return "", fmt.Errorf("%s is %q; expected sha256: and 64 hexadecimal digits, as sha256sum prints them", field, text)
	}
	return text, nil
}

// ParsePublicKey reads an ed25519 public key in PEM, as `openssl pkey -pubout` writes it.
func ParsePublicKey(field, text string) (ed25519.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM; expected -----BEGIN PUBLIC KEY----- and so on", field)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is a %T; expected an ed25519 key", field, parsed)
	}
	return key, nil
}

// SignedBy checks a signature over the module's bytes: 64 bytes, as they are or in base64.
func (m *Module) SignedBy(key ed25519.PublicKey, signature []byte) error {
	if len(signature) == 0 {
		return fmt.Errorf("%s has no signature beside it, and args.publicKey asks for one", m.Source)
	}
	raw := signature
	if len(raw) != ed25519.SignatureSize {
		decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(signature)))
		if err != nil || len(decoded) != ed25519.SignatureSize {
			return fmt.Errorf("%s: its signature is neither the %d bytes of an ed25519 signature nor base64 of them", m.Source, ed25519.SignatureSize)
		}
		raw = decoded
	}
	if !ed25519.Verify(key, m.bytes, raw) {
		return errors.New(m.Source + ": its signature is not one of args.publicKey over these bytes")
	}
	return nil
}
