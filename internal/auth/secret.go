package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxSecretFile bounds what is read of a secret's file, in bytes.
const maxSecretFile = 4 << 10

// LoadOrCreateSecret returns the secret kept in the file at path, made at the
// first call: 256 random bits as base64 text, the same as one would give by
// flag. Space around it in the file doesn't count.
//
// The file appears whole or not at all, on disk, readable by its owner only; of
// several processes that start at once one makes it, and all return the same.
// It is an error if the file is open to others or holds less than MinSecret
// bytes: then it was made by someone else, or is broken. Its directory must be
// there.
func LoadOrCreateSecret(path string) ([]byte, error) {
	secret, err := loadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSecret(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("create secret %s: %w", path, err)
		}
		secret, err = loadSecret(path) // ours, or that of who was faster
	}
	if err != nil {
		return nil, fmt.Errorf("load secret: %w", err)
	}
	return secret, nil
}

func loadSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case mode.Perm()&0o077 != 0 && runtime.GOOS != "windows": // which has no such bits
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it, or delete it to have a new one made, which signs everyone out", path, mode.Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimSpace(b)
	switch {
	case len(b) > maxSecretFile:
		return nil, fmt.Errorf("%s is longer than %d bytes: this is no secret", path, maxSecretFile)
	case len(secret) < MinSecret:
		return nil, fmt.Errorf("%s holds %d bytes, a secret takes at least %d: delete it to have a new one made, which signs everyone out", path, len(secret), MinSecret)
	}
	return secret, nil
}

// createSecret writes beside path and then links: unlike a rename that fails
// if the name is taken, and unlike O_EXCL it shows nobody half a file.
func createSecret(path string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()

	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // where directories can't be synced
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
