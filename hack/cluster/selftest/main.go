// Command selftest is what the containers of selftest.sh run: nothing ("true"), a server, or a client of it.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "true":
	case "serve": // ADDRESS TEXT
		err := http.ListenAndServe(os.Args[2], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, os.Args[3])
		}))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "get": // URL
		// The name and the service may take a moment to get around.
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			client := http.Client{Timeout: 3 * time.Second}
			response, err := client.Get(os.Args[2])
			if err == nil {
				_, err = io.Copy(os.Stdout, response.Body)
				response.Body.Close()
			}
			if err == nil {
				return
			}
			fmt.Fprintln(os.Stderr, err)
			if time.Now().After(deadline) {
				os.Exit(1)
			}
		}
	default:
		os.Exit(2)
	}
}
