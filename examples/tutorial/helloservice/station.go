package main

import (
	"context"
	"errors"
	"time"
)

// A station is all that one replica can do: a few workers, each busy with one request for a fixed time, and a waiting room.
// Requests wait, first come first served; they don't burn CPU. So one replica is slow exactly when more requests come than
// its workers can serve, and a second replica really takes half of them.
type station struct {
	workers chan struct{}
	inside  chan struct{} // workers and waiting room together
	time    time.Duration
}

var errFull = errors.New("the waiting room is full")

func newStation(workers, waitingRoom int, serviceTime time.Duration) *station {
	return &station{
		workers: make(chan struct{}, workers),
		inside:  make(chan struct{}, workers+waitingRoom),
		time:    serviceTime,
	}
}

// serve returns when the request has been served, was refused (errFull), or its client gave up waiting (ctx's error).
// Work that has begun is finished, whether or not the client still waits for it.
func (s *station) serve(ctx context.Context) error {
	select {
	case s.inside <- struct{}{}:
	default:
		return errFull
	}
	defer func() { <-s.inside }()
	select {
	case s.workers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.workers }()
	time.Sleep(s.time)
	return ctx.Err()
}

func (s *station) busy() int    { return len(s.workers) }
func (s *station) waiting() int { return max(0, len(s.inside)-len(s.workers)) }
