package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pauseImage is made here from the "pause" program that build.sh puts beside this one.
const pauseImage = "coxswain.dev/pause:1"

// hostName is how pods call the host; see the Corefile.
const hostName = "host.coxswain.internal"

const (
	kubeletPort       = 10250
	kubeletHealthPort = 10248
	proxyHealthPort   = 10256
	dnsReadyPort      = 8181
)

// nodeComponents lists what makes a node.
func nodeComponents(p paths, s *state) []component {
	containerd := launch{
		Name: componentContainerd,
		Path: "containerd",
		Args: []string{"containerd", "--config", sandboxDir + "/containerd.toml", "--log-level", "warn"},
		Env:  componentEnvironment(s),
	}
	// Only containerd talks to the world: it pulls images.
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(variable); value != "" {
			containerd.Env = append(containerd.Env, variable+"="+value)
		}
	}
	url := func(port int, path string) string {
		return fmt.Sprintf("http://%s:%d%s", s.Network.Node, port, path)
	}
	return []component{
		{containerd, "unix://" + containerdSocket, 60 * time.Second},
		{self(s, componentKubelet,
			"--config="+sandboxDir+"/kubelet.json", "--kubeconfig="+sandboxDir+"/pki/kubelet.kubeconfig",
			"--hostname-override="+s.nodeName(), "--node-ip="+s.Network.Node,
			"--root-dir="+kubeletDir, "--cert-dir="+kubeletDir+"/pki",
		), url(kubeletHealthPort, "/healthz"), 90 * time.Second},
		{self(s, componentProxy, "--config="+sandboxDir+"/kube-proxy.json"), url(proxyHealthPort, "/healthz"), 90 * time.Second},
		{self(s, componentDNS, "-conf", sandboxDir+"/Corefile"), url(dnsReadyPort, "/ready"), 90 * time.Second},
	}
}

// object is a configuration file's content; the components read JSON as well as YAML.
type object = map[string]any

// writeNodeConfig writes the configuration files of the node's components.
func writeNodeConfig(p paths, s *state) error {
	n := s.Network
	pki := sandboxDir + "/pki/"
	files := map[string]any{
		"kubelet.json": object{
			"apiVersion": "kubelet.config.k8s.io/v1beta1",
			"kind":       "KubeletConfiguration",
			"address":    n.Node, "port": kubeletPort, "readOnlyPort": 0,
			"healthzBindAddress": n.Node, "healthzPort": kubeletHealthPort,
			"authentication": object{
				"anonymous": object{"enabled": false},
				"webhook":   object{"enabled": true},
				"x509":      object{"clientCAFile": pki + "ca.crt"},
			},
			"authorization": object{"mode": "Webhook"},
			"tlsCertFile":   pki + "serving.crt", "tlsPrivateKeyFile": pki + "serving.key",
			"containerRuntimeEndpoint": "unix://" + containerdSocket,
			"cgroupDriver":             "cgroupfs", "cgroupRoot": "/" + s.Cgroup, "failCgroupV1": false,
			"enforceNodeAllocatable": []string{},
			"clusterDNS":             []string{n.DNS}, "clusterDomain": "cluster.local", "resolvConf": sandboxDir + "/resolv.conf",
			// A development machine has what it has: swap, a full disk, little memory. Running pods are not evicted for it.
			"failSwapOn": false, "localStorageCapacityIsolation": false,
			"evictionHard": object{"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
				"imagefs.inodesFree": "0%"},
			"imageGCHighThresholdPercent": 100, // images come from load-image, and nobody would bring them again
			// The node's own tables are nftables; without this the kubelet looks for iptables.
			"makeIPTablesUtilChains": false,
			// The usual limits are for many nodes that share one API server.
			"kubeAPIQPS": 500, "kubeAPIBurst": 1000, "eventRecordQPS": 0,
			"serializeImagePulls": false, "registryPullQPS": 0,
			"nodeStatusUpdateFrequency": "5s",
			"maxPods":                   250,
			"volumePluginDir":           kubeletDir + "/volume-plugins",
		},
		"kube-proxy.json": object{
			"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
			"kind":               "KubeProxyConfiguration",
			"mode":               "nftables",
			"clientConnection":   object{"kubeconfig": pki + "proxy.kubeconfig"},
			"hostnameOverride":   s.nodeName(),
			"clusterCIDR":        n.Pods,
			"healthzBindAddress": fmt.Sprintf("%s:%d", n.Node, proxyHealthPort),
			"metricsBindAddress": "127.0.0.1:10249",
			"nftables":           object{"minSyncPeriod": "100ms"}, // a new service works at once
			// The size of the connection table is the machine's, not this network namespace's.
			"conntrack": object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		},
		// Each pod has a link of its own to the node (ptp), no shared bridge: traffic between pods, too, is routed and so
		// passes kube-proxy's rules, whether or not the kernel has br_netfilter.
		"cni/10-coxswain.conflist": object{
			"cniVersion": "0.4.0",
			"name":       "coxswain",
			"plugins": []object{{
				"type": "ptp",
				"ipam": object{
					"type":    "host-local",
					"ranges":  [][]object{{{"subnet": n.Pods}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
					"dataDir": "/run/cni",
				},
			}},
		},
	}
	for name, content := range files {
		path := filepath.Join(p.dir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		encoded, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, append(encoded, '\n'), 0o600); err != nil {
			return err
		}
	}
	texts := map[string]string{
		"containerd.toml": containerdConfig(p),
		"Corefile":        corefile(n),
		"resolv.conf":     "nameserver " + n.Node + "\n",
	}
	for name, content := range texts {
		if err := os.WriteFile(filepath.Join(p.dir(), name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// containerdConfig is for containerd 1.6 and later; 2.x reads version 2 as well.
func containerdConfig(p paths) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# "opt" would make directories below /opt.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = %[1]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[2]q
  # Where the capability to lower it is missing, every sandbox would die at birth.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %[3]q
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[4]q
    conf_dir = %[5]q
`, containerdSocket, pauseImage, snapshotter(p), cniDir(), sandboxDir+"/cni")
}

// snapshotter says how images are laid out on the disk. The kernel cannot put an overlay on an overlay, which is what the
// root of a container is.
func snapshotter(p paths) string {
	const overlayMagic = 0x794c7630
	var fs unix.Statfs_t
	if err := unix.Statfs(p.dir(), &fs); err == nil && fs.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

// corefile configures CoreDNS, which runs on the node rather than in a pod: it needs no image.
func corefile(n *network) string {
	var b strings.Builder
	fmt.Fprintf(&b, `.:53 {
    bind %[1]s
    errors
    ready %[1]s:%[2]d
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %[3]s/pki/coredns.kubeconfig
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    hosts {
        %[4]s %[5]s
        fallthrough
    }
`, n.Node, dnsReadyPort, sandboxDir, n.Host, hostName)
	if len(n.Resolvers) > 0 {
		fmt.Fprintf(&b, "    forward . %s\n", strings.Join(n.Resolvers, " "))
	}
	b.WriteString("}\n")
	return b.String()
}
