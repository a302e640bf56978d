package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestValidName(t *testing.T) {
	for name, valid := range map[string]bool{
		"default": true, "a": true, "test-1": true, strings.Repeat("a", 32): true,
		"": false, "-a": false, "a-": false, "A": false, "a_b": false, "a/b": false, "..": false, ".hidden": false,
		strings.Repeat("a", 33): false,
	} {
		if (validName(name) == nil) != valid {
			t.Errorf("%q: valid should be %v", name, valid)
		}
	}
}

func TestStateRoot(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("XDG_STATE_HOME", "")
	for _, c := range []struct{ override, xdg, want string }{
		{"", "", "/home/somebody/.local/state/coxswain-cluster"},
		{"", "/xdg", "/xdg/coxswain-cluster"},
		{"/mine", "/xdg", "/mine"},
	} {
		t.Setenv("XDG_STATE_HOME", c.xdg)
		if got, err := stateRoot(c.override); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

func TestStateSurvives(t *testing.T) {
	p := newPaths(t.TempDir(), "test")
	if s, err := loadState(p); s != nil || err != nil {
		t.Fatalf("nothing is there, but %v, %v", s, err)
	}
	if err := os.MkdirAll(p.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	// "up" was killed before it wrote anything: there is something to remove.
	if s, err := loadState(p); err != nil || s == nil || s.Phase != phaseFailed {
		t.Fatalf("%+v, %v", s, err)
	}
	plan := planNetwork(3, "0123456789abcdef")
	saved := &state{Name: "test", Instance: "i", Phase: phaseReady, Supervisor: process{7, 8, "b"}, Network: &plan, Cgroup: "c"}
	if err := saved.save(p); err != nil {
		t.Fatal(err)
	}
	s, err := loadState(p)
	if err != nil || s.Supervisor != saved.Supervisor || s.Network.Pods != plan.Pods || s.Phase != phaseReady {
		t.Errorf("%+v, %v", s, err)
	}
	names, err := clusterNames(p.root)
	if err != nil || len(names) != 1 || names[0] != "test" {
		t.Errorf("%v, %v", names, err)
	}
}

func TestDownOfADamagedStateSaysWhatToDo(t *testing.T) {
	p := newPaths(t.TempDir(), "test")
	_ = os.MkdirAll(p.dir(), 0o700)
	_ = os.WriteFile(p.state(), []byte("{"), 0o600)
	if _, err := loadState(p); err == nil || !strings.Contains(err.Error(), "remove "+p.dir()) {
		t.Errorf("%v", err)
	}
}

func TestLockLetsOneIn(t *testing.T) {
	p := newPaths(t.TempDir(), "test")
	var inside, most int
	var mutex sync.Mutex
	var group sync.WaitGroup
	for range 5 {
		group.Add(1)
		go func() {
			defer group.Done()
			err := withLock(p, func() error {
				mutex.Lock()
				inside++
				most = max(most, inside)
				mutex.Unlock()
				time.Sleep(5 * time.Millisecond)
				mutex.Lock()
				inside--
				mutex.Unlock()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d at a time", most)
	}
	if left, _ := filepath.Glob(filepath.Join(p.root, ".*")); len(left) > 0 {
		t.Errorf("the lock of a cluster that is not there stays: %v", left)
	}
}

func TestMountPoint(t *testing.T) {
	line := `36 35 98:0 /mnt1 /a\040b/c rw,noatime master:1 - ext3 /dev/root rw`
	if got, ok := mountPoint(line); !ok || got != "/a b/c" {
		t.Errorf("%q, %v", got, ok)
	}
	if _, ok := mountPoint("too short"); ok {
		t.Error("accepted")
	}
}

func TestUnmountBelowLeavesOthersAlone(t *testing.T) {
	if err := unmountBelow(filepath.Join(t.TempDir(), "nothing")); err != nil {
		t.Error(err)
	}
}
