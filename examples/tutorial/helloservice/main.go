// Command helloservice is the tutorial's sick service, and what makes it sick.
//
//	helloservice [serve] [flags]      answer requests: a few at a time, the others wait
//	helloservice load --url U [flags] send requests, each over a new connection
//
// Every flag can be set in the environment too: --service-time is SERVICE_TIME.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Getenv, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "helloservice:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	command := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("helloservice "+command, flag.ContinueOnError)
	flags.SetOutput(out)
	switch command {
	case "serve":
		c := serveFlags(flags)
		if err := parse(flags, args, env); err != nil {
			return err
		}
		return serve(ctx, *c, out)
	case "load":
		c := loadFlags(flags)
		if err := parse(flags, args, env); err != nil {
			return err
		}
		return load(ctx, *c, out)
	}
	return fmt.Errorf("there is no command %q; there are: serve, load", command)
}

// parse reads the environment first, so that flags win over it.
func parse(flags *flag.FlagSet, args []string, env func(string) string) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := env(name); value != "" && err == nil {
			if bad := flags.Set(f.Name, value); bad != nil {
				err = fmt.Errorf("environment: %s=%q: %w", name, value, bad)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? %s takes flags only", flags.Arg(0), flags.Name())
	}
	return nil
}
