// SPDX-License-Identifier: MIT
//
// What ../pieces.h says, for programs in Go: the same rules, so that figures can be compared.
package main

import (
	"fmt"
	"io/ioutil"
	"math"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	counted       = 100
	blocks        = 16
	threadCPUTime = 3 // CLOCK_THREAD_CPUTIME_ID
)

var threadCounts = []int{1, 2, 4}

type work struct {
	do      func(thread, ops int)
	ops     int
	between func() // between two pieces of a thread, not timed; or nil
}

type job struct {
	done, counted uint32
	ns            []float64
	_             [128]byte
}

func cpuTime() int64 {
	var now syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPUTime, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func doneByOthers(jobs []job, index int) (done uint32) {
	for i := range jobs {
		if i != index {
			done += atomic.LoadUint32(&jobs[i].done)
		}
	}
	return done
}

func somebodyCounts(jobs []job) bool {
	for i := range jobs {
		if atomic.LoadUint32(&jobs[i].counted) < counted {
			return true
		}
	}
	return false
}

func (w work) piece(jobs []job, index int) {
	for i := 0; i < blocks; i++ {
		w.do(index, w.ops/blocks)
		atomic.AddUint32(&jobs[index].done, 1)
	}
}

func (w work) pause() {
	if w.between != nil {
		w.between()
	}
}

func (w work) timedPiece(jobs []job, index int) {
	worked, begun := cpuTime(), time.Now()
	before := doneByOthers(jobs, index)
	w.piece(jobs, index)
	beside := doneByOthers(jobs, index) - before
	ns := time.Since(begun).Nanoseconds()
	waited := float64(ns) > float64(cpuTime()-worked)*1.2
	if !waited && (len(jobs) == 1 || beside >= blocks/2) {
		jobs[index].ns = append(jobs[index].ns, float64(ns)/float64(w.ops/blocks*blocks))
		atomic.AddUint32(&jobs[index].counted, 1)
	}
}

func (w work) run(jobs []job, index int, start *sync.WaitGroup) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.piece(jobs, index)
	w.pause()
	start.Done()
	start.Wait()
	for limit := time.Now().Add(2 * time.Second); time.Now().Before(limit) && somebodyCounts(jobs); {
		if jobs[index].counted < counted {
			w.timedPiece(jobs, index)
		} else {
			w.piece(jobs, index)
		}
		w.pause()
	}
}

func (w work) once(threads int) float64 {
	var start, end sync.WaitGroup
	jobs := make([]job, threads)
	start.Add(threads)
	for i := range jobs {
		end.Add(1)
		go func(index int) {
			w.run(jobs, index, &start)
			end.Done()
		}(i)
	}
	end.Wait()
	all := []float64{}
	for i := range jobs {
		all = append(all, jobs[i].ns...)
	}
	sort.Float64s(all)
	if len(all) == 0 {
		return math.Inf(1)
	}
	return all[len(all)/2]
}

// told is one JSON object, member by member.
type told []string

func (t *told) number(name string, value float64) {
	if !math.IsInf(value, 0) {
		*t = append(*t, fmt.Sprintf("%q:%.3f", name, value))
	}
}

// rounds is 3, or what PIECES_ROUNDS says.
func rounds() int {
	if given, err := strconv.Atoi(os.Getenv("PIECES_ROUNDS")); err == nil && given > 0 {
		return given
	}
	return 3
}

// measure tells NAME_THREADS_ns.
func (t *told) measure(name string, w work) {
	for _, threads := range threadCounts {
		best := math.Inf(1)
		for i := 0; i < rounds(); i++ {
			best = math.Min(best, w.once(threads))
		}
		t.number(fmt.Sprintf("%s_%d_ns", name, threads), best)
	}
}

func (t told) print() {
	fmt.Printf("{%q:%q,%s}\n", "go", runtime.Version(), strings.Join(t, ","))
}

// resident is the memory of this process, without garbage.
func resident() float64 {
	runtime.GC()
	text, err := ioutil.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		panic(err)
	}
	return float64(pages * syscall.Getpagesize())
}

// line keeps what a thread writes apart.
type line struct {
	value uint64
	_     [120]byte
}

var lines [4]line

func raw(thread, ops int) {
	for i := 0; i < ops; i++ {
		atomic.AddUint64(&lines[thread].value, 1)
	}
}
