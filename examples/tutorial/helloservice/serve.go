package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type serveConfig struct {
	listen      string
	concurrency int
	waitingRoom int
	serviceTime time.Duration
}

func serveFlags(f *flag.FlagSet) *serveConfig {
	c := &serveConfig{}
	f.StringVar(&c.listen, "listen", ":8080", "address to listen on")
	f.IntVar(&c.concurrency, "concurrency", 4, "requests that are served at the same time")
	f.IntVar(&c.waitingRoom, "waiting-room", 200, "requests that may wait; more are refused with 503")
	f.DurationVar(&c.serviceTime, "service-time", 100*time.Millisecond, "time that each request takes, once it is its turn")
	return c
}

func (c serveConfig) check() error {
	switch {
	case c.concurrency < 1:
		return fmt.Errorf("--concurrency must be at least 1, not %d", c.concurrency)
	case c.waitingRoom < 0:
		return fmt.Errorf("--waiting-room can't be negative: %d", c.waitingRoom)
	case c.serviceTime <= 0:
		return fmt.Errorf("--service-time must be positive, not %s", c.serviceTime)
	}
	return nil
}

func serve(ctx context.Context, c serveConfig, out io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s: %d at a time, %s each\n", listener.Addr(), c.concurrency, c.serviceTime)
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		// Those who wait are still served: a replica that is taken away loses no request.
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(patience)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (c serveConfig) handler() http.Handler {
	place := newStation(c.concurrency, c.waitingRoom, c.serviceTime)
	host, _ := os.Hostname()
	registry := prometheus.NewRegistry()
	// From arrival to answer, waiting included. Who gave up waiting counts with the time that he waited: leaving him out
	// would make a service look well because it is too slow to be measured.
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "http_response_time_seconds_main_page",
		Help:    "Time from a request's arrival to its answer.",
		Buckets: []float64{.05, .1, .15, .2, .3, .4, .5, .75, 1, 1.5, 2, 3, 5},
	})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "Requests to the main page, by the answer's status code; 499: the client gave up.",
	}, []string{"code"})
	for _, code := range []int{http.StatusOK, statusGaveUp, http.StatusServiceUnavailable} {
		requests.WithLabelValues(strconv.Itoa(code)) // there from the start: increase() misses a series' first value
	}
	registry.MustRegister(took, requests, collectors.NewGoCollector(),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "helloservice_requests_busy", Help: "Requests being served."},
			func() float64 { return float64(place.busy()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "helloservice_requests_waiting", Help: "Requests that wait for their turn."},
			func() float64 { return float64(place.waiting()) }))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		code := http.StatusOK
		switch err := place.serve(r.Context()); {
		case errors.Is(err, errFull):
			code = http.StatusServiceUnavailable
			http.Error(w, "too many requests wait already", code)
		case err != nil:
			code = statusGaveUp
			took.Observe(time.Since(start).Seconds())
		default:
			took.Observe(time.Since(start).Seconds())
			fmt.Fprintf(w, "Hello from %s!\n", host)
		}
		requests.WithLabelValues(strconv.Itoa(code)).Inc()
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	// Never waits: a slow replica is not a dead one, and taking it out of the Service would hide the problem.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// statusGaveUp is nginx's number for a client that closed the connection first.
const statusGaveUp = 499
