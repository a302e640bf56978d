package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The supervisor is the parent of every component: when it ends, for whatever reason, the kernel ends them all. In a full
// cluster it is process 1 of a pid namespace, which takes containers with it, and the mount and network namespaces vanish
// once nobody is left in them. It restarts nothing; it notes what has exited, for "status".
//
// "up" tells it over a socket what to start. If that socket closes before "up" has committed, "up" was killed, and the
// supervisor ends: no half-started cluster stays behind.

const (
	supervisorCommand = "supervise"
	componentCommand  = "component"
	supervisorSocket  = 3 // the file descriptor that "up" hands over
)

// launch is how to start a component.
type launch struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
}

// order is what "up" tells the supervisor; one field is set.
type order struct {
	Setup  *setup  `json:"setup,omitempty"`
	Start  *launch `json:"start,omitempty"`
	Commit bool    `json:"commit,omitempty"`
}

// setup comes first.
type setup struct {
	Dir   string `json:"dir"`
	Name  string `json:"name"`
	State state  `json:"state"`
}

// report is what the supervisor answers. Each order is answered by one report; an exit may come at any time.
type report struct {
	Done   bool    `json:"done,omitempty"`
	Error  string  `json:"error,omitempty"`
	Exited *record `json:"exited,omitempty"`
}

type supervisor struct {
	paths     paths
	hostProc  string // where the host's /proc can still be seen
	committed bool
	reports   *json.Encoder
	running   map[int]*record // by the pid that the supervisor sees
}

func superviseMain() {
	// The kernel ties a child's "die with your parent" to the thread that made it, so this goroutine keeps its thread.
	runtime.LockOSThread()
	syscall.CloseOnExec(supervisorSocket)
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)

	socket := os.NewFile(supervisorSocket, "up")
	s := &supervisor{hostProc: "/proc", reports: json.NewEncoder(socket), running: map[int]*record{}}
	orders := make(chan order)
	go func() {
		defer close(orders)
		decoder := json.NewDecoder(socket)
		for {
			var o order
			if err := decoder.Decode(&o); err != nil {
				if !errors.Is(err, io.EOF) {
					fmt.Println("reading orders:", err)
				}
				return
			}
			orders <- o
		}
	}()
	for {
		select {
		case o, open := <-orders:
			if !open {
				if !s.committed {
					fmt.Println("\"up\" went away before the cluster was ready: ending")
					os.Exit(1)
				}
				orders = nil
				continue
			}
			answer := report{Done: true}
			if err := s.obey(o); err != nil {
				answer.Error = err.Error()
			}
			_ = s.reports.Encode(answer)
		case <-children:
			s.reap()
		case <-stop:
			os.Exit(0)
		}
	}
}

func (s *supervisor) obey(o order) error {
	switch {
	case o.Setup != nil:
		s.paths = newPaths(filepath.Dir(o.Setup.Dir), o.Setup.Name)
		if o.Setup.State.ControlPlaneOnly {
			// Without a pid namespace: adopt what components leave behind, in order to reap it.
			return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
		}
		return s.enterSandbox(&o.Setup.State)
	case o.Start != nil:
		return s.start(*o.Start)
	case o.Commit:
		s.committed = true
	}
	return nil
}

func (s *supervisor) start(l launch) error {
	path, err := exec.LookPath(l.Path)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.paths.log(l.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	child, err := os.StartProcess(path, l.Args, &os.ProcAttr{
		Dir:   "/",
		Env:   l.Env,
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return err
	}
	pid := child.Pid
	_ = child.Release() // reap waits for all children at once
	r := &record{Component: l.Name, Process: process{PID: s.hostPID(pid), Boot: bootID()}}
	if r.Process.Start, _, err = processStat("/proc", pid); err != nil {
		return err
	}
	s.running[pid] = r
	return writeJSON(s.paths.record(l.Name), r)
}

// reap notes which components have exited, and collects orphans, which are process 1's to collect.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		r := s.running[pid]
		if r == nil {
			continue
		}
		delete(s.running, pid)
		r.Exited, r.ExitedAt, r.Exit = true, time.Now(), fmt.Sprintf("exited with code %d", status.ExitStatus())
		if status.Signaled() {
			r.Exit = "killed by " + unix.SignalName(status.Signal())
		}
		fmt.Println(time.Now().Format(time.RFC3339), r.Component, r.Exit)
		_ = writeJSON(s.paths.record(r.Component), r)
		if !s.committed {
			_ = s.reports.Encode(report{Exited: r})
		}
	}
}

// hostPID translates a pid of this pid namespace into the host's, which is what "down" and "status" need.
func (s *supervisor) hostPID(pid int) int {
	ours, err := os.Readlink("/proc/self/ns/pid")
	if err != nil || s.hostProc == "/proc" {
		return pid
	}
	for _, candidate := range allPIDs(s.hostProc) {
		dir := fmt.Sprintf("%s/%d", s.hostProc, candidate)
		if namespace, err := os.Readlink(dir + "/ns/pid"); err != nil || namespace != ours {
			continue
		}
		status, err := os.ReadFile(dir + "/status")
		if err == nil && innermostPID(string(status)) == fmt.Sprint(pid) {
			return candidate
		}
	}
	return 0
}

// innermostPID reads the last number of the line "NSpid: HOST ... INNER".
func innermostPID(status string) string {
	for line := range strings.Lines(status) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "NSpid:" {
			return fields[len(fields)-1]
		}
	}
	return ""
}
