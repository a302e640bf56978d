package main

import (
	"context"
	"os"

	"github.com/coredns/coredns/coremain"
	// CoreDNS is only its plugins: these are all that the Corefile written in node.go names.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// The components' names, as they stand in "cluster status", in log file names and in the process list.
const (
	componentEtcd              = "etcd"
	componentAPIServer         = "kube-apiserver"
	componentControllerManager = "kube-controller-manager"
	componentScheduler         = "kube-scheduler"
	componentContainerd        = "containerd" // not linked in: the distribution's own
	componentKubelet           = "kubelet"
	componentProxy             = "kube-proxy"
	componentDNS               = "coredns"
	componentKubectl           = "kubectl"
)

// kubernetesVersion is what the linked-in Kubernetes says it is; build.sh stamps the same into component-base.
const kubernetesVersion = "v1.34.4"

// runComponent turns this process into one component and does not return before it ends.
func runComponent(name string, args []string) {
	// The components read os.Args themselves.
	os.Args = append([]string{name}, args...)
	var command *cobra.Command
	switch name {
	case componentEtcd:
		etcdmain.Main(os.Args)
		return
	case componentDNS:
		coremain.Run()
		return
	case componentAPIServer:
		command = apiserver.NewAPIServerCommand()
	case componentControllerManager:
		command = controllermanager.NewControllerManagerCommand()
	case componentScheduler:
		command = scheduler.NewSchedulerCommand()
	case componentKubelet:
		command = kubelet.NewKubeletCommand(context.Background())
	case componentProxy:
		command = proxy.NewProxyCommand()
	case componentKubectl:
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err) // kubectl's own way to print an error; it exits
		}
		return
	default:
		fatal("unknown component %q", name)
	}
	os.Exit(cli.Run(command))
}
