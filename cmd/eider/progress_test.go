package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressOfWorkThatEndsEarlyEnds(t *testing.T) {
	for _, total := range []int64{0, 1000} {
		var out bytes.Buffer
		term := newTerminal(strings.NewReader(""), &out, &out, false)
		term.errColour = true // draw
		p := term.progress("load", "documents", total)
		p.set(500, 5)
		ended := make(chan struct{})
		go func() { p.end(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("the bar of %d still waits for the rest", total)
		}
	}
}
