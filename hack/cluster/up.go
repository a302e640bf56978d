package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const defaultUpTimeout = 4 * time.Minute

type upOptions struct {
	controlPlaneOnly bool
	nat              bool
	timeout          time.Duration
}

// starter is one attempt of "up".
type starter struct {
	paths  paths
	state  *state
	began  time.Time
	orders *json.Encoder
	socket *os.File
	done   chan report // answers to orders

	mutex  sync.Mutex
	exited map[string]record
}

func (o upOptions) run(p paths) error {
	if o.controlPlaneOnly && o.nat {
		return errors.New("--nat is for clusters with a node")
	}
	if !o.controlPlaneOnly {
		if err := checkNodeRequirements(); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not ready after %s (--timeout)", o.timeout))
	defer cancel()
	return withLock(p, func() error {
		old, err := loadState(p)
		if err != nil {
			return err
		}
		if old != nil {
			running, reason := healthy(p, old)
			if running && old.ControlPlaneOnly != o.controlPlaneOnly {
				return fmt.Errorf("cluster %q is running %s: choose another --name, or stop it first with \"cluster --name %s down\"",
					p.name, modeName(old.ControlPlaneOnly), p.name)
			}
			if running {
				progress("cluster %q is already running: export KUBECONFIG=%s", p.name, p.kubeconfig())
				return nil
			}
			progress("cluster %q is not healthy (%s): removing it and starting again", p.name, reason)
			if err := tearDown(p, old); err != nil {
				return err
			}
		}
		for attempt := 1; ; attempt++ {
			u := &starter{paths: p, began: time.Now(), done: make(chan report), exited: map[string]record{}}
			err = u.start(ctx, o)
			if err == nil {
				progress("cluster %q is ready after %.1f s: export KUBECONFIG=%s", p.name, time.Since(u.began).Seconds(), p.kubeconfig())
				return nil
			}
			// Somebody else took one of our ports between our choosing it and our using it.
			if attempt < 3 && u.portTaken() {
				progress("a port was taken by somebody else meanwhile: trying again")
				if err := tearDown(p, u.state); err != nil {
					return err
				}
				continue
			}
			u.abandon()
			return err
		}
	})
}

func modeName(controlPlaneOnly bool) string {
	if controlPlaneOnly {
		return "as a control plane only"
	}
	return "with a node"
}

func (u *starter) start(ctx context.Context, o upOptions) error {
	p := u.paths
	u.state = &state{Name: p.name, Instance: newInstance(), Phase: phaseStarting, Created: u.began, ControlPlaneOnly: o.controlPlaneOnly}
	s := u.state
	for _, dir := range []string{p.dir(), p.logs(), p.run()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if o.controlPlaneOnly {
		var err error
		if s.Ports, err = freePorts(); err != nil {
			return err
		}
	} else {
		s.Ports = wellKnownPorts
		s.Cgroup = "coxswain-" + s.Name + "-" + s.Instance[:8]
		// Saves the state itself, before it makes anything.
		if err := claimNetwork(p, s); err != nil {
			return err
		}
		if o.nat {
			var err error
			if s.Network.Resolvers, err = upstreamResolvers(); err != nil {
				return err
			}
			if err := enableNAT(p, s); err != nil {
				return err
			}
		}
	}
	s.Server = fmt.Sprintf("https://%s:%d", nodeAddress(s), s.Ports.APIServer)
	if err := s.save(p); err != nil {
		return err
	}
	if err := writePKI(p, s); err != nil {
		return err
	}
	if !o.controlPlaneOnly {
		if err := writeNodeConfig(p, s); err != nil {
			return err
		}
	}
	if s.Cgroup != "" {
		if err := makeCgroups(s.Cgroup); err != nil {
			return err
		}
	}
	if err := u.startSupervisor(); err != nil {
		return err
	}
	defer u.socket.Close()
	if err := u.startComponents(ctx); err != nil {
		return err
	}
	if err := u.send(order{Commit: true}); err != nil {
		return err
	}
	s.Phase = phaseReady
	return s.save(p)
}

// startSupervisor starts the parent of all components, in namespaces of its own for a full cluster.
func (u *starter) startSupervisor() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	u.socket = os.NewFile(uintptr(pair[0]), "supervisor")
	theirs := os.NewFile(uintptr(pair[1]), "supervisor")
	defer theirs.Close()
	log, err := os.Create(u.paths.log("supervisor"))
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command("/proc/self/exe", supervisorCommand)
	c.Args[0] = "cluster"
	c.Dir = "/"
	c.Env = componentEnvironment(u.state)
	c.Stdout, c.Stderr = log, log
	c.ExtraFiles = []*os.File{theirs}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !u.state.ControlPlaneOnly {
		c.SysProcAttr.Cloneflags = sandboxNamespaces
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("cannot start the supervisor: %w", err)
	}
	if u.state.Supervisor, err = identify(c.Process.Pid); err != nil {
		return err
	}
	if err := u.state.save(u.paths); err != nil {
		return err
	}
	go func() { _ = c.Wait() }() // so that it does not stay a zombie if it ends before we do
	u.orders = json.NewEncoder(u.socket)
	go u.readReports()
	if !u.state.ControlPlaneOnly {
		if err := connectNetwork(u.state); err != nil {
			return err
		}
	}
	return u.send(order{Setup: &setup{Dir: u.paths.dir(), Name: u.paths.name, State: *u.state}})
}

func (u *starter) readReports() {
	defer close(u.done)
	decoder := json.NewDecoder(u.socket)
	for {
		var r report
		if decoder.Decode(&r) != nil {
			return
		}
		if r.Exited != nil {
			u.mutex.Lock()
			u.exited[r.Exited.Component] = *r.Exited
			u.mutex.Unlock()
			continue
		}
		u.done <- r
	}
}

// send gives the supervisor an order and waits until it is carried out.
func (u *starter) send(o order) error {
	failed := func(reason string) error {
		return fmt.Errorf("the supervisor %s; the end of %s:\n%s", reason, u.paths.log("supervisor"), tail(u.paths.log("supervisor")))
	}
	if err := u.orders.Encode(o); err != nil {
		return failed("has ended")
	}
	select {
	case r, open := <-u.done:
		if !open {
			return failed("has ended")
		}
		if r.Error != "" {
			return errors.New(r.Error)
		}
		return nil
	case <-time.After(30 * time.Second):
		return failed("does not answer")
	}
}

// startComponents brings everything up. What depends on the API server starts only once that is ready: earlier, it would
// only take the processor's time from it, and then wait between its retries.
func (u *starter) startComponents(ctx context.Context) error {
	control := controlPlane(u.paths, u.state)
	etcd, apiServer, controllers := control[0], control[1], control[2:]
	if err := u.launch(etcd, apiServer); err != nil {
		return err
	}
	var node []component
	if !u.state.ControlPlaneOnly {
		node = nodeComponents(u.paths, u.state)
		if err := u.startContainerd(ctx, node[0]); err != nil {
			return err
		}
	}
	if err := u.waitReady(ctx, etcd, apiServer); err != nil {
		return err
	}
	if err := u.launch(controllers...); err != nil {
		return err
	}
	client, err := newClient(u.paths)
	if err != nil {
		return err
	}
	if !u.state.ControlPlaneOnly {
		if err := u.launch(node[1:]...); err != nil {
			return err
		}
		if err := bootstrapNode(ctx, client, u.state); err != nil {
			return err
		}
	}
	if err := u.waitReady(ctx, controllers...); err != nil {
		return err
	}
	// Without it no pod can be created in the namespace.
	err = u.wait(ctx, componentControllerManager, "to make the namespace \"default\" usable", time.Minute, func() error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil || u.state.ControlPlaneOnly {
		return err
	}
	if err := u.waitReady(ctx, node...); err != nil {
		return err
	}
	return u.wait(ctx, componentKubelet, "to register a usable node", time.Minute, func() error { return nodeUsable(ctx, client, u.state) })
}

// startContainerd starts containerd, and gives it the one image that every pod needs.
func (u *starter) startContainerd(ctx context.Context, containerd component) error {
	if err := u.launch(containerd); err != nil {
		return err
	}
	pause, err := writePauseImage(u.paths)
	if err != nil {
		return err
	}
	if err := u.waitReady(ctx, containerd); err != nil {
		return err
	}
	return importImage(ctx, u.paths, u.state, pause)
}

// launch starts components, in the given order, without waiting for them.
func (u *starter) launch(list ...component) error {
	for _, c := range list {
		if err := u.send(order{Start: &c.launch}); err != nil {
			return fmt.Errorf("cannot start %s: %w", c.Name, err)
		}
	}
	return nil
}

// waitReady waits for components to become ready.
func (u *starter) waitReady(ctx context.Context, list ...component) error {
	for _, c := range list {
		if err := u.wait(ctx, c.Name, "to become ready", c.deadline, func() error { return probe(u.paths, u.state, c) }); err != nil {
			return err
		}
	}
	return nil
}

// wait polls until check succeeds, and gives up at once when a component has exited.
func (u *starter) wait(ctx context.Context, name, what string, patience time.Duration, check func() error) error {
	began := time.Now()
	announced := false
	for {
		err := check()
		if err == nil {
			if announced {
				progress("  %s: done after %.1f s", name, time.Since(began).Seconds())
			}
			return nil
		}
		u.mutex.Lock()
		for _, r := range u.exited {
			err = fmt.Errorf("%s %s while the cluster was starting; the end of %s:\n%s", r.Component, r.Exit,
				u.paths.log(r.Component), tail(u.paths.log(r.Component)))
			u.mutex.Unlock()
			return err
		}
		u.mutex.Unlock()
		waited := time.Since(began)
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("interrupted while waiting for %s %s", name, what)
		}
		if ctx.Err() != nil || waited > patience {
			reason := fmt.Sprintf("gave up after %.0f s", waited.Seconds())
			if ctx.Err() != nil {
				reason = context.Cause(ctx).Error()
			}
			return fmt.Errorf("waiting for %s %s: %s (%w); the end of %s:\n%s", name, what, reason, err,
				u.paths.log(name), tail(u.paths.log(name)))
		}
		if !announced && waited > 500*time.Millisecond {
			announced = true
			progress("waiting for %s %s (at most %s)", name, what, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// abandon stops a cluster that did not become ready, but keeps its directory, for the logs.
func (u *starter) abandon() {
	if u.state == nil {
		return
	}
	u.state.Phase = phaseFailed
	if err := release(u.paths, u.state); err != nil {
		progress("cleaning up: %v", err)
	}
	if err := u.state.save(u.paths); err == nil {
		progress("the logs are in %s until \"cluster --name %s down\"", u.paths.logs(), u.paths.name)
	}
}

// portTaken says whether a component could not listen on its port.
func (u *starter) portTaken() bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	for name := range u.exited {
		if u.state.ControlPlaneOnly && strings.Contains(tail(u.paths.log(name)), "address already in use") {
			return true
		}
	}
	return false
}

// freePorts chooses ports of the loopback address. They are below the range that the kernel gives to outgoing connections
// and to those who ask for "any port", so that nothing takes them by chance before our components do.
func freePorts() (ports, error) {
	var chosen ports
	used := map[int]bool{}
	for _, port := range []*int{&chosen.Etcd, &chosen.EtcdPeer, &chosen.EtcdMetrics, &chosen.APIServer, &chosen.ControllerManager, &chosen.Scheduler} {
		for attempt := 0; *port == 0; attempt++ {
			if attempt == 1000 {
				return ports{}, errors.New("no free port between 14000 and 30000 on 127.0.0.1")
			}
			candidate := 14000 + rand.IntN(16000)
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", candidate))
			if err != nil || used[candidate] {
				continue
			}
			listener.Close()
			used[candidate] = true
			*port = candidate
		}
	}
	return chosen, nil
}

// tail is the end of a log, as much as somebody wants to see on a terminal.
func tail(path string) string {
	const lines, bytes = 25, 16 << 10
	f, err := os.Open(path)
	if err != nil {
		return "  (no log)"
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > bytes {
		_, _ = f.Seek(-bytes, 2)
	}
	content := make([]byte, bytes)
	n, _ := f.Read(content)
	all := strings.Split(strings.TrimRight(string(content[:n]), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	return "  " + strings.Join(all, "\n  ")
}
