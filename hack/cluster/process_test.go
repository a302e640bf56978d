package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21"
	for _, name := range []string{"(sh)", "(a b)", "(tricky) Z 1 (name)"} {
		start, status, err := parseStat("17 " + name + rest)
		if err != nil || start != 4242 || status != 'S' {
			t.Errorf("%s: start %d, status %c, %v", name, start, status, err)
		}
	}
	for _, bad := range []string{"", "17 sh S 1 2", "17 (sh) S 1 2", "17 (sh)"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// sleeper starts a process that is stopped when the test ends.
func sleeper(t *testing.T, environment ...string) (*exec.Cmd, process) {
	t.Helper()
	c := exec.Command("sleep", "60")
	c.Env = environment
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	identity, err := identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return c, identity
}

func TestRecycledPIDIsNeverKilled(t *testing.T) {
	_, now := sleeper(t)
	recycled := now
	recycled.Start-- // whoever had the pid before
	rebooted := now
	rebooted.Boot = "another boot"
	for _, other := range []process{recycled, rebooted, {}, {PID: 1, Start: 1, Boot: bootID()}} {
		if other.alive() && other.PID != 1 {
			t.Errorf("%+v counts as alive", other)
		}
		if err := other.kill(); err != nil {
			t.Error(err)
		}
	}
	if !now.alive() {
		t.Fatal("a process was killed that only has the same pid")
	}
}

func TestKilledProcessIsNotAlive(t *testing.T) {
	c, identity := sleeper(t)
	if err := identity.kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if identity.alive() {
		t.Error("it is still alive")
	}
	if err := identity.kill(); err != nil {
		t.Error("killing it again:", err)
	}
}

func TestMarkedProcesses(t *testing.T) {
	instance := newInstance()
	_, ours := sleeper(t, instanceVariable+"="+instance)
	sleeper(t, instanceVariable+"="+instance+"x", "OTHER="+instance)
	if found := markedProcesses(instance); !slices.Equal(found, []process{ours}) {
		t.Errorf("found %v, want %v", found, ours)
	}
	if found := markedProcesses(""); found != nil {
		t.Errorf("no instance has the processes %v", found)
	}
}

func TestKillAllFindsWhatWasNeverRecorded(t *testing.T) {
	p := newPaths(t.TempDir(), "test")
	s := &state{Instance: newInstance()}
	c, _ := sleeper(t, instanceVariable+"="+s.Instance)
	_, other := sleeper(t)
	go func() { _ = c.Wait() }()
	if err := killAll(p, s); err != nil {
		t.Fatal(err)
	}
	if left := markedProcesses(s.Instance); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if !other.alive() {
		t.Error("an unmarked process was killed")
	}
}

func TestInnermostPID(t *testing.T) {
	if got := innermostPID("Name:\tx\nNSpid:\t123\t7\nThreads:\t1\n"); got != "7" {
		t.Errorf("got %q", got)
	}
	if got := innermostPID("Name:\tx\n"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestIdentifySelf(t *testing.T) {
	identity, err := identify(os.Getpid())
	if err != nil || !identity.alive() || identity.Boot == "" {
		t.Errorf("%+v, %v", identity, err)
	}
}
