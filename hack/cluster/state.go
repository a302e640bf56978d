package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"syscall"
	"time"
)

// phase is how far "up" came; it is written before the step that it names, so that a crash is never mistaken for success.
type phase string

const (
	phaseStarting phase = "starting"
	phaseReady    phase = "ready"
	phaseFailed   phase = "failed"
)

// state is everything that "down" and "status" must know about a cluster. It is written before anything is started.
type state struct {
	Name             string    `json:"name"`
	Instance         string    `json:"instance"` // random; marks the processes and the network link of this very start
	Phase            phase     `json:"phase"`
	Created          time.Time `json:"created"`
	ControlPlaneOnly bool      `json:"controlPlaneOnly"`
	Server           string    `json:"server"`
	Supervisor       process   `json:"supervisor"`
	Ports            ports     `json:"ports"`
	Network          *network  `json:"network,omitempty"` // full clusters only
	Cgroup           string    `json:"cgroup,omitempty"`  // full clusters only
}

// paths are where one cluster keeps its things.
type paths struct {
	root string // of all clusters
	name string
}

func newPaths(root, name string) paths { return paths{root: root, name: name} }

func (p paths) dir() string        { return filepath.Join(p.root, p.name) }
func (p paths) state() string      { return filepath.Join(p.dir(), "state.json") }
func (p paths) kubeconfig() string { return filepath.Join(p.dir(), "kubeconfig") }
func (p paths) logs() string       { return filepath.Join(p.dir(), "logs") }
func (p paths) run() string        { return filepath.Join(p.dir(), "run") }
func (p paths) log(component string) string {
	return filepath.Join(p.logs(), component+".log")
}
func (p paths) record(component string) string {
	return filepath.Join(p.run(), component+".json")
}

// stateRoot is the directory that holds all clusters of this user.
func stateRoot(override string) (string, error) {
	if override != "" {
		return filepath.Abs(override)
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("where to keep the state? set COXSWAIN_CLUSTER_DIR or HOME: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Abs(filepath.Join(base, "coxswain-cluster"))
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// validName keeps names usable as a node name, a directory and a part of a cgroup's name.
func validName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q is not a cluster name: use at most 32 lower case letters, digits and dashes, such as \"test-1\"", name)
	}
	return nil
}

func newInstance() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// loadState returns nil without an error when there is no such cluster. A directory without a readable state is the
// remainder of an "up" that was killed at its very beginning: it comes back as an empty state, for "down" to remove.
func loadState(p paths) (*state, error) {
	if _, err := os.Stat(p.dir()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s := &state{Name: p.name, Phase: phaseFailed}
	content, err := os.ReadFile(p.state())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; stop the processes that carry it in their environment by hand and remove %s",
			p.state(), err, p.dir())
	}
	return s, nil
}

func (s *state) save(p paths) error {
	return writeJSON(p.state(), s)
}

// writeJSON replaces a file at once: whoever reads it sees the old or the new content.
func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// clusterNames lists the clusters of a state directory.
func clusterNames(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && validName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// withLock lets one "up" or "down" at a time work on a cluster.
func withLock(p paths, work func() error) error {
	if err := os.MkdirAll(p.root, 0o700); err != nil {
		return fmt.Errorf("cannot make the state directory: %w; set COXSWAIN_CLUSTER_DIR to a place that you may write to", err)
	}
	// The lock is beside the cluster's directory, not in it: "down" removes the directory while it holds the lock.
	path := filepath.Join(p.root, "."+p.name+".lock")
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("cannot lock the cluster: %w; a cluster that root started is root's: use sudo", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			progress("another command works on cluster %q: waiting for it", p.name)
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
			if err != nil {
				f.Close()
				return err
			}
		} else if err != nil {
			f.Close()
			return err
		}
		// The holder before us may have removed the file that we waited for: then our lock locks nothing.
		ours, err1 := f.Stat()
		current, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(ours, current) {
			f.Close()
			continue
		}
		defer f.Close()
		err = work()
		if _, statErr := os.Stat(p.dir()); errors.Is(statErr, fs.ErrNotExist) {
			_ = os.Remove(path)
		}
		return err
	}
}

// record is what the supervisor notes about each component.
type record struct {
	Component string    `json:"component"`
	Process   process   `json:"process"`
	Exited    bool      `json:"exited"`
	Exit      string    `json:"exit,omitempty"`
	ExitedAt  time.Time `json:"exitedAt,omitzero"`
}

// loadRecords returns the components in the order in which they were started.
func loadRecords(p paths) []record {
	var records []record
	files, _ := filepath.Glob(p.record("*"))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var r record
		if json.Unmarshal(content, &r) == nil && r.Component != "" {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b record) int {
		return slices.Index(componentOrder, a.Component) - slices.Index(componentOrder, b.Component)
	})
	return records
}
