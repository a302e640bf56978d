package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func statusCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the cluster's components; succeeds only if all are healthy",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			s, err := loadState(p)
			if err != nil {
				return err
			}
			if s == nil {
				return noSuchCluster(p)
			}
			return printStatus(p, s)
		},
	}
}

func printStatus(p paths, s *state) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tSTATE\tREADY")
	sick := s.Phase != phaseReady || !s.Supervisor.alive()
	for _, c := range conditions(p, s) {
		ready := "yes"
		if !c.ok() {
			sick = true
			ready = "no"
			if c.state == "running" {
				ready = "no: " + c.ready.Error()
			}
		}
		pid := "-"
		if c.pid != 0 {
			pid = fmt.Sprint(c.pid)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.name, pid, c.state, ready)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case s.Phase == phaseStarting:
		return errors.New("the cluster is starting, or its \"up\" was killed; \"up\" starts it again, \"down\" removes it")
	case sick:
		return fmt.Errorf("the cluster is not healthy; the logs are in %s; \"up\" starts it again", p.logs())
	}
	return nil
}

func listCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clusters of the state directory",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			root, err := stateRoot(opts.dir)
			if err != nil {
				return err
			}
			names, err := clusterNames(root)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
			fmt.Fprintln(table, "NAME\tMODE\tSTATE\tSERVER\tCREATED")
			for _, name := range names {
				p := newPaths(root, name)
				s, err := loadState(p)
				if err != nil {
					fmt.Fprintf(table, "%s\t-\t%v\t-\t-\n", name, err)
					continue
				}
				if s == nil {
					continue // removed meanwhile
				}
				mode := "node"
				if s.ControlPlaneOnly {
					mode = "control-plane-only"
				}
				condition := "healthy"
				if ok, reason := healthy(p, s); !ok {
					condition = reason
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, mode, condition, s.Server, s.Created.Format("2006-01-02 15:04:05"))
			}
			return table.Flush()
		},
	}
}
