package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// component is one process of a cluster, and how to find out whether it is ready.
type component struct {
	launch
	ready    string        // an URL that answers 200, or unix://PATH that accepts connections
	deadline time.Duration // for becoming ready; generous, because a busy CI machine is slow
}

// componentOrder is the order in which things are listed; up.go starts them in it, too.
var componentOrder = []string{componentEtcd, componentAPIServer, componentControllerManager, componentScheduler,
	componentContainerd, componentKubelet, componentProxy, componentDNS}

// ports are where the control plane listens. In a full cluster they are the well-known ones, because it has a network
// namespace to itself.
type ports struct {
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	EtcdMetrics       int `json:"etcdMetrics"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
}

var wellKnownPorts = ports{Etcd: 2379, EtcdPeer: 2380, EtcdMetrics: 2381, APIServer: 6443, ControllerManager: 10257, Scheduler: 10259}

// loopbackServices is the service range of a control plane without a node: nothing is ever sent there.
const loopbackServices = "10.96.0.0/16"

func (s *state) nodeName() string { return s.Name }

func (s *state) serviceCIDR() string {
	if s.Network == nil {
		return loopbackServices
	}
	return s.Network.Services
}

// apiServiceIP is the cluster IP of the service "kubernetes": always the first of the range.
func (s *state) apiServiceIP() string {
	return addressIn(s.serviceCIDR(), 1)
}

// nodeAddress is where the host reaches the components.
func nodeAddress(s *state) string {
	if s.Network == nil {
		return "127.0.0.1"
	}
	return s.Network.Node
}

// insideDir is the cluster's directory as its components see it: a full cluster has a mount namespace of its own, where
// short and fixed paths keep sockets below the kernel's limit of 107 characters.
func insideDir(p paths, s *state) string {
	if s.ControlPlaneOnly {
		return p.dir()
	}
	return sandboxDir
}

// self starts this binary as a component. /proc/self/exe survives both a rebuild and a mount namespace that hides the
// binary's path.
func self(s *state, name string, args ...string) launch {
	return launch{
		Name: name,
		Path: "/proc/self/exe",
		Args: append([]string{"cluster", componentCommand, name}, args...),
		Env:  componentEnvironment(s),
	}
}

const componentPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// componentEnvironment is deliberately small: ETCD_* or KUBECONFIG of whoever runs "up" must not configure a component.
func componentEnvironment(s *state) []string {
	env := []string{
		"PATH=" + componentPath,
		"HOME=/",
		instanceVariable + "=" + s.Instance,
	}
	if tmp := os.Getenv("TMPDIR"); tmp != "" {
		env = append(env, "TMPDIR="+tmp)
	}
	return env
}

// controlPlane lists etcd, the API server, the controller manager and the scheduler.
func controlPlane(p paths, s *state) []component {
	dir := insideDir(p, s)
	pki := dir + "/pki/"
	node := nodeAddress(s)
	bind := "127.0.0.1"
	if !s.ControlPlaneOnly {
		bind = "0.0.0.0"
	}
	etcdURL := fmt.Sprintf("https://127.0.0.1:%d", s.Ports.Etcd)
	peerURL := fmt.Sprintf("https://127.0.0.1:%d", s.Ports.EtcdPeer)
	metricsURL := fmt.Sprintf("http://%s:%d", node, s.Ports.EtcdMetrics)

	etcd := self(s, componentEtcd,
		"--name=default",
		"--data-dir="+dir+"/etcd",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL,
		"--listen-metrics-urls="+metricsURL,
		"--client-cert-auth", "--trusted-ca-file="+pki+"etcd-ca.crt", "--cert-file="+pki+"etcd.crt", "--key-file="+pki+"etcd.key",
		"--peer-client-cert-auth", "--peer-trusted-ca-file="+pki+"etcd-ca.crt", "--peer-cert-file="+pki+"etcd.crt", "--peer-key-file="+pki+"etcd.key",
		// Nobody needs a throw-away cluster's data after a power cut.
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	)

	apiServerArgs := []string{
		"--bind-address=" + bind, fmt.Sprintf("--secure-port=%d", s.Ports.APIServer),
		"--advertise-address=" + node,
		"--etcd-servers=" + etcdURL, "--etcd-cafile=" + pki + "etcd-ca.crt",
		"--etcd-certfile=" + pki + "etcd-client.crt", "--etcd-keyfile=" + pki + "etcd-client.key",
		"--tls-cert-file=" + pki + "apiserver.crt", "--tls-private-key-file=" + pki + "apiserver.key",
		"--client-ca-file=" + pki + "ca.crt",
		"--requestheader-client-ca-file=" + pki + "front-proxy-ca.crt", "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki + "front-proxy-client.crt", "--proxy-client-key-file=" + pki + "front-proxy-client.key",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki + "sa.pub", "--service-account-signing-key-file=" + pki + "sa.key",
		"--service-cluster-ip-range=" + s.serviceCIDR(),
		"--allow-privileged=true",
		"--delete-collection-workers=4",
		"--profiling=false",
	}
	if s.ControlPlaneOnly {
		// The endpoints of the service "kubernetes" must not be a loopback address, and there is no other.
		apiServerArgs = append(apiServerArgs, "--endpoint-reconciler-type=none")
	} else {
		apiServerArgs = append(apiServerArgs,
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-certificate-authority="+pki+"ca.crt",
			"--kubelet-client-certificate="+pki+"apiserver-kubelet-client.crt",
			"--kubelet-client-key="+pki+"apiserver-kubelet-client.key")
	}

	controllerManagerArgs := []string{
		"--kubeconfig=" + pki + "controller-manager.kubeconfig",
		"--authentication-kubeconfig=" + pki + "controller-manager.kubeconfig",
		"--authorization-kubeconfig=" + pki + "controller-manager.kubeconfig",
		"--bind-address=" + bind, fmt.Sprintf("--secure-port=%d", s.Ports.ControllerManager),
		"--tls-cert-file=" + pki + "serving.crt", "--tls-private-key-file=" + pki + "serving.key",
		"--root-ca-file=" + pki + "ca.crt", "--service-account-private-key-file=" + pki + "sa.key",
		"--cluster-signing-cert-file=" + pki + "ca.crt", "--cluster-signing-key-file=" + pki + "ca.key",
		"--use-service-account-credentials",
		"--leader-elect=false", // there is only one: without it, it starts at once
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--concurrent-job-syncs=20",
		"--flex-volume-plugin-dir=" + dir + "/volume-plugins", // the default is outside of the cluster's directory
		"--profiling=false",
	}
	if !s.ControlPlaneOnly {
		// The one node gets the whole range.
		controllerManagerArgs = append(controllerManagerArgs, "--allocate-node-cidrs",
			"--cluster-cidr="+s.Network.Pods, "--node-cidr-mask-size="+s.Network.Pods[strings.IndexByte(s.Network.Pods, '/')+1:])
	}

	scheduler := self(s, componentScheduler,
		"--kubeconfig="+pki+"scheduler.kubeconfig",
		"--authentication-kubeconfig="+pki+"scheduler.kubeconfig",
		"--authorization-kubeconfig="+pki+"scheduler.kubeconfig",
		"--bind-address="+bind, fmt.Sprintf("--secure-port=%d", s.Ports.Scheduler),
		"--tls-cert-file="+pki+"serving.crt", "--tls-private-key-file="+pki+"serving.key",
		"--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
	)

	return []component{
		{etcd, metricsURL + "/health", 60 * time.Second},
		{self(s, componentAPIServer, apiServerArgs...), s.Server + "/readyz", 120 * time.Second},
		{self(s, componentControllerManager, controllerManagerArgs...),
			fmt.Sprintf("https://%s:%d/healthz", node, s.Ports.ControllerManager), 90 * time.Second},
		{scheduler, fmt.Sprintf("https://%s:%d/healthz", node, s.Ports.Scheduler), 90 * time.Second},
	}
}

// components lists everything that a cluster consists of.
func components(p paths, s *state) []component {
	all := controlPlane(p, s)
	if !s.ControlPlaneOnly {
		all = append(all, nodeComponents(p, s)...)
	}
	return all
}
