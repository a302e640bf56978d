package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestPagesAndMetrics(t *testing.T) {
	server := httptest.NewServer(serveConfig{concurrency: 1, waitingRoom: 1, serviceTime: time.Millisecond}.handler())
	defer server.Close()
	if code, body := fetch(t, server.URL+"/"); code != 200 || !strings.HasPrefix(body, "Hello from ") {
		t.Errorf("/: %d %q", code, body)
	}
	if code, _ := fetch(t, server.URL+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	if code, _ := fetch(t, server.URL+"/nothing-here"); code != 404 {
		t.Errorf("/nothing-here: %d", code)
	}
	_, metrics := fetch(t, server.URL+"/metrics")
	for _, line := range []string{
		"http_response_time_seconds_main_page_count 1",
		"http_response_time_seconds_main_page_sum 0.0",
		`http_response_time_seconds_main_page_bucket{le="0.5"} 1`,
		`http_requests_total{code="200"} 1`,
		`http_requests_total{code="503"} 0`,
		"helloservice_requests_waiting 0",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("/metrics has no %q in:\n%s", line, metrics)
		}
	}
}

// Refused, given up and served requests are told apart, and health never waits.
func TestAFullServiceSaysSo(t *testing.T) {
	server := httptest.NewServer(serveConfig{concurrency: 1, waitingRoom: 1, serviceTime: 300 * time.Millisecond}.handler())
	defer server.Close()
	metric := func(line string) func() bool {
		return func() bool { _, body := fetch(t, server.URL+"/metrics"); return strings.Contains(body, "\n"+line) }
	}
	await := func(line string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); !metric(line)(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("/metrics never had %q", line)
			}
		}
	}
	served := make(chan int, 1)
	go func() { code, _ := fetch(t, server.URL+"/"); served <- code }()
	await("helloservice_requests_busy 1")
	impatient, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		request, _ := http.NewRequestWithContext(impatient, http.MethodGet, server.URL+"/", nil)
		_, err := http.DefaultClient.Do(request)
		gaveUp <- err
	}()
	await("helloservice_requests_waiting 1")
	if code, _ := fetch(t, server.URL+"/"); code != 503 {
		t.Errorf("the third request got %d, want 503", code)
	}
	if code, _ := fetch(t, server.URL+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	cancel()
	if err := <-gaveUp; err == nil {
		t.Error("the second request was answered")
	}
	if code := <-served; code != 200 {
		t.Errorf("the first request got %d", code)
	}
	await(`http_requests_total{code="499"} 1`)
	await(`http_requests_total{code="503"} 1`)
	await(`http_requests_total{code="200"} 1`)
}
