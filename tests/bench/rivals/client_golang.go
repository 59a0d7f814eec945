// SPDX-License-Identifier: MIT
//
// What bench_metrics.c does, with Prometheus' own library for Go.
package main

import (
	"fmt"
	"io/ioutil"
	"math"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

const (
	ops  = 20000
	sets = 1000
)

func counterVec(name string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "Requests."},
		[]string{"method", "route", "code"})
}

// discard takes an answer and forgets it.
type discard struct{ header http.Header }

func (d discard) Header() http.Header            { return d.header }
func (d discard) Write(data []byte) (int, error) { return len(data), nil }
func (d discard) WriteHeader(int)                {}

// scrapes tells what an answer costs: of the handler, and of its parts without HTTP.
func scrapes(out *told, series int) {
	debug.FreeOSMemory()
	before := resident()
	registry, vec := prometheus.NewRegistry(), counterVec("http_requests_total")
	registry.MustRegister(vec)
	for i := 0; i < series; i++ {
		vec.WithLabelValues("GET", fmt.Sprintf("/items/%d", i), "200").Add(float64(i*977 + 1))
	}
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	request, err := http.NewRequest("GET", "/metrics", nil)
	if err != nil {
		panic(err)
	}
	whole, parts := math.Inf(1), math.Inf(1)
	for i := 0; i < 30; i++ {
		begun := time.Now()
		handler.ServeHTTP(discard{http.Header{}}, request)
		whole = math.Min(whole, time.Since(begun).Seconds()*1e3)
		begun = time.Now()
		families, err := registry.Gather()
		if err != nil {
			panic(err)
		}
		encoder := expfmt.NewEncoder(ioutil.Discard, expfmt.FmtText)
		for _, family := range families {
			if err := encoder.Encode(family); err != nil {
				panic(err)
			}
		}
		parts = math.Min(parts, time.Since(begun).Seconds()*1e3)
	}
	out.number(fmt.Sprintf("scrape_%d_ms", series), math.Min(whole, parts))
	debug.FreeOSMemory()
	out.number(fmt.Sprintf("memory_of_series_%d", series), (resident()-before)/float64(series))
	vec.WithLabelValues("GET", "/items/0", "200").Inc() // it lives until here
}

func main() {
	var out told
	scrapes(&out, 2000)
	scrapes(&out, 100000)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "counter"})
	vec := counterVec("labelled")
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "histogram",
		Buckets: []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}})
	routes := make([]string, sets)
	for i := range routes {
		routes[i] = fmt.Sprintf("/items/%d", i)
	}
	values := []float64{0.0007, 0.003, 0.02, 0.3, 0.04, 1.7, 0.0011, 0.06}
	out.measure("raw", work{do: raw, ops: ops})
	out.measure("counter_bound", work{ops: ops, do: func(_, ops int) {
		for i := 0; i < ops; i++ {
			counter.Inc()
		}
	}})
	out.measure("counter_3_labels", work{ops: ops / 10, do: func(thread, ops int) {
		for i := 0; i < ops; i++ {
			vec.WithLabelValues("GET", routes[(i+thread)%sets], "200").Inc()
		}
	}})
	out.measure("histogram_bound", work{ops: ops / 4, do: func(_, ops int) {
		for i := 0; i < ops; i++ {
			histogram.Observe(values[i%8])
		}
	}})
	out.print()
}
