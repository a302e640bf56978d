package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drive sends one request each interval to the replicas in turn, with at most `clients` under way, and returns the mean
// time of those that start in the last half of the run. The clock is a test's: a minute takes milliseconds.
func drive(replicas, clients int, interval, length time.Duration) time.Duration {
	stations := make([]*station, replicas)
	for i := range stations {
		stations[i] = newStation(2, 200, 100*time.Millisecond)
	}
	var (
		free    = make(chan struct{}, clients)
		mu      sync.Mutex
		sum     time.Duration
		count   int
		running sync.WaitGroup
	)
	begin := time.Now()
	for i := 0; time.Since(begin) < length; i++ {
		select {
		case free <- struct{}{}:
			running.Go(func() {
				start := time.Now()
				if err := stations[i%replicas].serve(context.Background()); err != nil {
					panic(err)
				}
				<-free
				if start.Sub(begin) > length/2 {
					mu.Lock()
					defer mu.Unlock()
					sum += time.Since(start)
					count++
				}
			})
		default:
		}
		time.Sleep(interval)
	}
	running.Wait()
	return sum / time.Duration(count)
}

// The whole point of the service: its replicas know nothing of each other, and yet more of them heal it.
func TestLatencyFallsWhenCapacityRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One replica serves 20 requests a second.
		for _, c := range []struct {
			name     string
			rate     int
			clients  int
			replicas int
			atLeast  time.Duration
			atMost   time.Duration
		}{
			{"the tutorial's load, 1 replica", 25, 20, 1, 900 * time.Millisecond, 1100 * time.Millisecond},
			{"the tutorial's load, 2 replicas", 25, 20, 2, 100 * time.Millisecond, 150 * time.Millisecond},
			{"the escalation's load, 1 replica", 50, 40, 1, 1900 * time.Millisecond, 2100 * time.Millisecond},
			{"the escalation's load, 2 replicas", 50, 40, 2, 900 * time.Millisecond, 1100 * time.Millisecond},
			{"the escalation's load, 4 replicas", 50, 40, 4, 100 * time.Millisecond, 150 * time.Millisecond},
		} {
			mean := drive(c.replicas, c.clients, time.Second/time.Duration(c.rate), time.Minute)
			if mean < c.atLeast || mean > c.atMost {
				t.Errorf("%s: mean %s, want %s to %s", c.name, mean, c.atLeast, c.atMost)
			}
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(1, 5, time.Second)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if err := s.serve(t.Context()); err != nil {
					t.Error(err)
				}
				if got, want := time.Since(begin), time.Duration(i+1)*time.Second; got != want {
					t.Errorf("request %d was served at %s, want %s", i, got, want)
				}
			})
			synctest.Wait() // each one is in the queue before the next one comes
		}
		if s.busy() != 1 || s.waiting() != 3 {
			t.Errorf("busy %d, waiting %d; want 1 and 3", s.busy(), s.waiting())
		}
		all.Wait()
	})
}

func TestFullWaitingRoomRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(1, 1, time.Second)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { _ = s.serve(t.Context()) })
		}
		synctest.Wait()
		begin := time.Now()
		if err := s.serve(t.Context()); !errors.Is(err, errFull) {
			t.Errorf("the third request: %v, want %v", err, errFull)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the refusal took %s", waited)
		}
		all.Wait()
		if err := s.serve(t.Context()); err != nil {
			t.Errorf("after the others have left: %v", err)
		}
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(1, 5, time.Second)
		var all sync.WaitGroup
		all.Go(func() { _ = s.serve(t.Context()) })
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.serve(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		if s.waiting() != 0 {
			t.Errorf("%d still wait", s.waiting())
		}
		all.Wait()
	})
}
