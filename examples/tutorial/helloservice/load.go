package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

type loadConfig struct {
	url      string
	clients  int
	rate     float64
	timeout  time.Duration
	duration time.Duration
	report   time.Duration
}

func loadFlags(f *flag.FlagSet) *loadConfig {
	c := &loadConfig{}
	f.StringVar(&c.url, "url", "", "where to send GET requests (required)")
	f.IntVar(&c.clients, "clients", 20, "requests that may be under way at the same time")
	f.Float64Var(&c.rate, "rate", 0, "requests to start in a second, as long as a client is free; 0: each client sends its next one at once")
	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long a client waits for its answer")
	f.DurationVar(&c.duration, "duration", 0, "end after this long; 0: run until stopped")
	f.DurationVar(&c.report, "report", 10*time.Second, "how often to print what came back")
	return c
}

func (c loadConfig) check() error {
	target, err := url.Parse(c.url)
	switch {
	case c.url == "":
		return errors.New("--url is missing: where shall the load go?")
	case err != nil:
		return fmt.Errorf("--url: %w", err)
	case target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return fmt.Errorf("--url must be like http://host/path, not %q", c.url)
	case c.clients < 1:
		return fmt.Errorf("--clients must be at least 1, not %d", c.clients)
	case c.rate < 0:
		return fmt.Errorf("--rate can't be negative: %g", c.rate)
	case c.timeout <= 0 || c.report <= 0:
		return errors.New("--timeout and --report must be positive")
	case c.duration < 0:
		return fmt.Errorf("--duration can't be negative: %s", c.duration)
	}
	return nil
}

// load keeps a fixed number of clients going. With a rate they start requests at that pace (an open loop: the service's
// slowness doesn't slow the senders down) until all of them wait, which bounds how sick the service can get.
func load(ctx context.Context, c loadConfig, out io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.duration)
		defer cancel()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A Service chooses a pod for each connection, so a kept connection would stay with the replica that it found first.
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport, Timeout: c.timeout}

	fmt.Fprintf(out, "%d clients send to %s\n", c.clients, c.url)
	starts := make(chan struct{})
	go c.pace(ctx, starts)
	results := &tally{}
	var clients sync.WaitGroup
	for range c.clients {
		clients.Go(func() {
			for range starts {
				began := time.Now()
				if ok, counts := get(ctx, client, c.url); counts {
					results.add(time.Since(began), ok)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for tick := time.Tick(c.report); ; {
		select {
		case <-tick:
			fmt.Fprintln(out, results.take())
		case <-done:
			fmt.Fprintln(out, results.take()+" at the end")
			return nil
		}
	}
}

// pace sends one start for each request, and closes the channel at the end. A start that no client is free for is lost.
func (c loadConfig) pace(ctx context.Context, starts chan<- struct{}) {
	defer close(starts)
	if c.rate == 0 {
		for {
			select {
			case starts <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / c.rate))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			select {
			case starts <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// get tells whether the answer was good, and whether it counts at all: one that our own end cut off does not.
func get(ctx context.Context, client *http.Client, url string) (ok, counts bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, true
	}
	response, err := client.Do(request)
	if err != nil {
		return false, ctx.Err() == nil
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode < 400, err == nil || ctx.Err() == nil
}

// A tally is what came back since the last report.
type tally struct {
	mu           sync.Mutex
	count, bad   int
	sum, longest time.Duration
}

func (t *tally) add(took time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	t.sum += took
	t.longest = max(t.longest, took)
	if !ok {
		t.bad++
	}
}

func (t *tally) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%d answers, %d failed", t.count, t.bad)
	if t.count > 0 {
		line += fmt.Sprintf(", mean %s, longest %s", (t.sum / time.Duration(t.count)).Round(time.Millisecond), t.longest.Round(time.Millisecond))
	}
	t.count, t.bad, t.sum, t.longest = 0, 0, 0, 0
	return line
}
