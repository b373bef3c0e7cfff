// A busy Go program that checks itself until its input ends: goroutines, its collector, timers, sockets, children.
// Says "whole" then.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var over atomic.Bool

func wrong(what ...any) {
	fmt.Println(append([]any{"wrong:"}, what...)...)
	os.Exit(1)
}

func compute(seed int) func() {
	text := []byte(fmt.Sprint(seed))
	want := sha256.Sum256(text)
	var blocks [][]byte
	return func() {
		if sha256.Sum256(text) != want {
			wrong("a sum")
		}
		block := make([]byte, 1<<(8+len(blocks)%12))
		for i := range block {
			block[i] = byte(i * seed)
		}
		if blocks = append(blocks, block); len(blocks) <= 64 {
			return
		}
		for _, block := range blocks {
			for i := range block {
				if block[i] != byte(i*seed) {
					wrong("memory")
				}
			}
		}
		blocks = nil
	}
}

func sleep() {
	began := time.Now()
	time.Sleep(time.Millisecond)
	if time.Since(began) < time.Millisecond {
		wrong("a sleep that was cut short")
	}
}

func spawn() {
	out, err := exec.Command("/bin/echo", "whole").Output()
	if err != nil || string(out) != "whole\n" {
		wrong("a child", err, string(out))
	}
	runtime.GC()
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			wrong("accept", err)
		}
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

func talk(listener net.Listener) func() {
	return func() {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			wrong("dial", err)
		}
		defer conn.Close()
		buffer := make([]byte, 5)
		for i := 0; i < 50; i++ {
			fmt.Fprintf(conn, "%5d", i)
			if _, err := io.ReadFull(conn, buffer); err != nil || string(buffer) != fmt.Sprintf("%5d", i) {
				wrong("an echo", err, string(buffer))
			}
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		wrong("listen", err)
	}
	go serve(listener)
	work := []func(){sleep, spawn, talk(listener)}
	for seed := 1; seed <= 6; seed++ {
		work = append(work, compute(seed))
	}
	var all sync.WaitGroup
	for _, each := range work {
		all.Add(1)
		go func(each func()) {
			defer all.Done()
			for !over.Load() {
				each()
			}
		}(each)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	over.Store(true)
	all.Wait()
	fmt.Println("whole")
}
