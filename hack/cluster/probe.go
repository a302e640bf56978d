package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// probe asks one component whether it is ready.
func probe(p paths, s *state, c component) error {
	const patience = 3 * time.Second
	if socket, ok := strings.CutPrefix(c.ready, "unix://"); ok {
		conn, err := net.DialTimeout("unix", hostPath(s, socket), patience)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if strings.HasPrefix(c.ready, "https:") {
		ca, err := os.ReadFile(filepath.Join(p.dir(), "pki", "ca.crt"))
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	client := &http.Client{Timeout: patience, Transport: transport}
	response, err := client.Get(c.ready)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", c.ready, response.Status)
	}
	return nil
}

// hostPath is how the host reaches a file that only the components see: through process 1's root directory.
func hostPath(s *state, path string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.Supervisor.PID, path)
}

// newClient talks to the cluster as its administrator.
func newClient(p paths) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, -1
	config.Timeout = 20 * time.Second
	return kubernetes.NewForConfig(config)
}

// condition is what "status" says about one component.
type condition struct {
	name  string
	pid   int
	state string
	ready error
}

func (c condition) ok() bool { return c.state == "running" && c.ready == nil }

// conditions looks at every component that the cluster should have.
func conditions(p paths, s *state) []condition {
	records := map[string]record{}
	for _, r := range loadRecords(p) {
		records[r.Component] = r
	}
	all := components(p, s)
	result := make([]condition, len(all))
	done := make(chan struct{})
	for i, c := range all {
		go func() {
			defer func() { done <- struct{}{} }()
			r, started := records[c.Name]
			one := condition{name: c.Name, pid: r.Process.PID, state: "running", ready: context.Canceled}
			switch {
			case !started:
				one.state = "not started"
			case r.Exited:
				one.state = r.Exit
			case !r.Process.alive():
				one.state = "dead"
			default:
				one.ready = probe(p, s, c)
			}
			result[i] = one
		}()
	}
	for range all {
		<-done
	}
	return result
}

// healthy says whether a cluster runs as it should, or else why not.
func healthy(p paths, s *state) (bool, string) {
	if s.Phase != phaseReady {
		return false, "\"up\" did not finish"
	}
	if !s.Supervisor.alive() {
		return false, "its supervisor is gone"
	}
	for _, c := range conditions(p, s) {
		if c.state != "running" {
			return false, c.name + " " + c.state
		}
		if c.ready != nil {
			return false, fmt.Sprintf("%s is not ready: %v", c.name, c.ready)
		}
	}
	return true, ""
}
