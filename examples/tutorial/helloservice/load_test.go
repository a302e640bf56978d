package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name        string
		config      loadConfig
		least, most int32 // requests
	}{
		{"paced", loadConfig{clients: 10, rate: 50}, 5, 26},
		{"paced, but no client is free", loadConfig{clients: 1, rate: 500}, 5, 51},
		{"as fast as they can", loadConfig{clients: 4}, 20, 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests, under, most atomic.Int32
			var connections sync.Map
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				connections.Store(r.RemoteAddr, true)
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(10 * time.Millisecond)
				under.Add(-1)
			}))
			defer server.Close()
			c.config.url, c.config.timeout = server.URL, time.Second
			c.config.duration, c.config.report = 500*time.Millisecond, time.Minute
			var out bytes.Buffer
			if err := load(t.Context(), c.config, &out); err != nil {
				t.Fatal(err)
			}
			if n := requests.Load(); n < c.least || n > c.most {
				t.Errorf("%d requests, want %d to %d", n, c.least, c.most)
			}
			if n := int(most.Load()); n > c.config.clients {
				t.Errorf("%d requests at the same time from %d clients", n, c.config.clients)
			}
			var n int32
			connections.Range(func(any, any) bool { n++; return true })
			if n != requests.Load() {
				t.Errorf("%d connections for %d requests: each shall have its own", n, requests.Load())
			}
			if !strings.Contains(out.String(), " 0 failed, mean ") {
				t.Errorf("the report: %s", out.String())
			}
		})
	}
}

func TestLoadCountsFailures(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var out bytes.Buffer
	c := loadConfig{url: server.URL, clients: 1, rate: 100, timeout: time.Second, duration: 200 * time.Millisecond, report: time.Minute}
	if err := load(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), " 0 failed") || strings.Contains(out.String(), "\n0 answers") {
		t.Errorf("the report: %s", out.String())
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{args: "dance", want: `no command "dance"`},
		{args: "serve here", want: `what is "here"?`},
		{args: "--concurrency 0", want: "--concurrency must be at least 1, not 0"},
		{args: "serve --service-time 0s", want: "--service-time must be positive"},
		{args: "--waiting-room -1", want: "--waiting-room can't be negative: -1"},
		{args: "serve --replicas 3", want: "flag provided but not defined: -replicas"},
		{env: map[string]string{"CONCURRENCY": "many"}, want: `CONCURRENCY="many"`},
		{args: "--listen nowhere:x", want: "listen tcp"},
		{args: "load", want: "--url is missing"},
		{args: "load --url helloservice", want: "--url must be like http://host/path"},
		{args: "load --url http://h --clients 0", want: "--clients must be at least 1"},
		{args: "load --url http://h --rate -1", want: "--rate can't be negative"},
		{args: "load --url http://h --timeout 0s", want: "must be positive"},
	} {
		err := run(t.Context(), strings.Fields(c.args), func(name string) string { return c.env[name] }, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %v: got %v, want %q in it", c.args, c.env, err, c.want)
		}
	}
}
