// Command cluster runs a real Kubernetes on a bare Linux machine: etcd, the control plane, and, with root, a node that
// runs containers. Every component is linked in from its own published Go module and runs as a process of its own: this
// same binary, started again with a hidden subcommand.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are the flags that every command shares.
type options struct {
	name string
	dir  string
}

func (o *options) paths() (paths, error) {
	if err := validName(o.name); err != nil {
		return paths{}, err
	}
	root, err := stateRoot(o.dir)
	if err != nil {
		return paths{}, err
	}
	return newPaths(root, o.name), nil
}

func main() {
	// Hidden subcommands come first and bypass cobra: a component parses its own flags.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case supervisorCommand:
			superviseMain()
			return
		case componentCommand:
			if len(os.Args) < 3 {
				fatal("the hidden subcommand %q needs a component's name", componentCommand)
			}
			runComponent(os.Args[2], os.Args[3:])
			return
		}
	}
	// Linking the components in has defined flags of theirs, which are not ours.
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ContinueOnError)
	if err := rootCommand().ExecuteContext(context.Background()); err != nil {
		fatal("%v", err)
	}
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", args...)
	os.Exit(1)
}

// progress goes to stderr, so that stdout carries only what a script wants to read.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func rootCommand() *cobra.Command {
	opts := &options{}
	root := &cobra.Command{
		Use:   "cluster",
		Short: "A real Kubernetes for a bare Linux machine",
		Long: `cluster runs a real Kubernetes ` + kubernetesVersion + ` on a Linux machine that has none, without Docker.

  cluster up --control-plane-only   etcd, API server, controller manager, scheduler; needs no root
  sudo cluster up                   all of that, and a node: kubelet, containerd, kube-proxy, CoreDNS

Several clusters run side by side: give each a --name. Everything a cluster writes is below one state directory,
` + "`${XDG_STATE_HOME:-$HOME/.local/state}/coxswain-cluster/NAME`" + `, and "cluster down" removes everything it started.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// So that "cluster --name x kubectl ..." reads --name although kubectl gets its arguments unparsed.
		TraverseChildren: true,
		Args:             cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; see \"cluster --help\"", args[0])
			}
			return c.Help()
		},
	}
	name := os.Getenv("COXSWAIN_CLUSTER_NAME")
	if name == "" {
		name = "default"
	}
	root.PersistentFlags().StringVar(&opts.name, "name", name, "the cluster's name (env COXSWAIN_CLUSTER_NAME)")
	root.PersistentFlags().StringVar(&opts.dir, "dir", os.Getenv("COXSWAIN_CLUSTER_DIR"),
		"where the clusters keep their state (env COXSWAIN_CLUSTER_DIR; default ${XDG_STATE_HOME:-$HOME/.local/state}/coxswain-cluster)")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(upCommand(opts), downCommand(opts), statusCommand(opts), listCommand(opts), kubeconfigCommand(opts),
		kubectlCommand(opts), loadImageCommand(opts), buildImageCommand())
	return root
}

func upCommand(opts *options) *cobra.Command {
	up := upOptions{}
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster and return when it is ready",
		Long: `Start a cluster and return when it is ready; its components go on in the background.

A cluster that is already running and healthy is left alone. One that is half dead is cleaned up and started again.
On failure the end of the failing component's log is printed, and the logs are kept until "cluster down".`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			return up.run(p)
		},
	}
	c.Flags().BoolVar(&up.controlPlaneOnly, "control-plane-only", false,
		"no node: etcd, API server, controller manager and scheduler on loopback; needs no root")
	c.Flags().BoolVar(&up.nat, "nat", false,
		"let pods and image pulls out through the host; turns on the host's IP forwarding, and adds one table to its nftables, until \"down\"")
	c.Flags().DurationVar(&up.timeout, "timeout", defaultUpTimeout, "give up when the cluster is not ready by then")
	return c
}

func downCommand(opts *options) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop a cluster and remove everything that it started",
		Long: `Stop a cluster and remove everything that it started: processes, network, mounts, cgroups, state directory.
It works after any crash, and when there is nothing to stop.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			if !all {
				return runDown(p)
			}
			names, err := clusterNames(p.root)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := runDown(newPaths(p.root, name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every cluster of the state directory")
	return c
}

func kubeconfigCommand(opts *options) *cobra.Command {
	raw := false
	c := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of the cluster's kubeconfig",
		Example: "  export KUBECONFIG=$(cluster kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			content, err := os.ReadFile(p.kubeconfig())
			if err != nil {
				return noSuchCluster(p)
			}
			if raw {
				_, err = os.Stdout.Write(content)
				return err
			}
			fmt.Println(p.kubeconfig())
			return nil
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "print its content")
	return c
}

func kubectlCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl ARGS...",
		Short: "Run kubectl with the cluster's kubeconfig",
		Long: `Run the kubectl that is built in, with the cluster's kubeconfig.
Everything after "kubectl" is kubectl's: flags of cluster come before it.`,
		Example:            "  cluster kubectl get namespaces\n  cluster --name other kubectl apply -f FILE",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			if _, err := os.Stat(p.kubeconfig()); err != nil {
				return noSuchCluster(p)
			}
			if err := os.Setenv("KUBECONFIG", p.kubeconfig()); err != nil {
				return err
			}
			runComponent(componentKubectl, args)
			return nil
		},
	}
}

func noSuchCluster(p paths) error {
	names, _ := clusterNames(p.root)
	known := "there is none"
	if len(names) > 0 {
		known = "there is " + strings.Join(names, ", ")
	}
	return fmt.Errorf("no cluster named %q in %s (%s); start it with: %s --name %s up",
		p.name, p.root, known, filepath.Base(os.Args[0]), p.name)
}
