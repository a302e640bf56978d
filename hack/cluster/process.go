package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// instanceVariable marks, in their environment, the processes of one cluster. It finds those that "up" started but did
// not live to record.
const instanceVariable = "COXSWAIN_CLUSTER_INSTANCE"

// process identifies a process for good: a pid alone may be another process by the time somebody looks.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot, from /proc/PID/stat
	Boot  string `json:"boot"`  // the kernel's boot id: after a reboot neither pid nor start means anything
}

var bootID = sync.OnceValue(func() string {
	content, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content))
})

// identify records a process that runs now.
func identify(pid int) (process, error) {
	start, _, err := processStat("/proc", pid)
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, Start: start, Boot: bootID()}, nil
}

// alive says whether this very process still runs. A zombie does not: it waits only for its parent to notice.
func (p process) alive() bool {
	if p.PID <= 0 || p.Boot != bootID() {
		return false
	}
	start, status, err := processStat("/proc", p.PID)
	return err == nil && start == p.Start && status != 'Z' && status != 'X'
}

// kill sends SIGKILL to this very process, never to one that has got its pid since.
func (p process) kill() error {
	if p.PID <= 1 || !p.alive() {
		return nil
	}
	// A pidfd holds on to the process that the pid names now; once it is open, a second look at the start time makes sure
	// which one that is, and no other can slip in between.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return nil
	}
	defer handle.Release()
	if !p.alive() {
		return nil
	}
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop process %d: %w; was the cluster started by another user?", p.PID, err)
	}
	return nil
}

// processStat reads a process' start time and status letter.
func processStat(proc string, pid int) (start uint64, status byte, err error) {
	content, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(content))
}

// parseStat reads field 22 (start time) and field 3 (status) of /proc/PID/stat. Field 2, the command's name, is in
// parentheses and may itself hold blanks and parentheses: the fields are counted from the last closing one.
func parseStat(content string) (start uint64, status byte, err error) {
	end := strings.LastIndexByte(content, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("not a process' stat: %q", content)
	}
	fields := strings.Fields(content[end+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("not a process' stat: %q", content)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err
}

// allPIDs lists the processes that this user can see.
func allPIDs(proc string) []int {
	entries, _ := os.ReadDir(proc)
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// markedProcesses finds every process whose environment carries the instance's mark. Processes of other users cannot be
// read, and cannot be ours.
func markedProcesses(instance string) []process {
	if instance == "" {
		return nil
	}
	mark := []byte(instanceVariable + "=" + instance)
	var found []process
	for _, pid := range allPIDs("/proc") {
		identity, err := identify(pid)
		if err != nil || pid == os.Getpid() {
			continue
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue
		}
		for _, variable := range bytes.Split(environment, []byte{0}) {
			if bytes.Equal(variable, mark) && identity.alive() {
				found = append(found, identity)
				break
			}
		}
	}
	return found
}

// killAll stops the supervisor, which takes its components with it, and then whatever is left of them.
func killAll(p paths, s *state) error {
	if err := s.Supervisor.kill(); err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		var left []process
		for _, r := range loadRecords(p) {
			if r.Process.alive() {
				left = append(left, r.Process)
			}
		}
		left = append(left, markedProcesses(s.Instance)...)
		if s.Supervisor.alive() {
			left = append(left, s.Supervisor)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end after SIGKILL; look at /proc/%d/stack", left[0].PID, left[0].PID)
		}
		for _, one := range left {
			if err := one.kill(); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}
