// SPDX-License-Identifier: MIT
//
// What bench_traces.c does, with OpenTelemetry's own library for Go.
package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	ops   = 1000
	queue = 8192
)

type forget struct{}

func (forget) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return nil }
func (forget) Shutdown(context.Context) error                        { return nil }

func spans(tracer trace.Tracer) func(thread, ops int) {
	return func(_, ops int) {
		ctx := context.Background()
		for i := 0; i < ops; i++ {
			_, span := tracer.Start(ctx, "GET /items")
			span.SetAttributes(attribute.Int("http.response.status_code", 200))
			span.End()
		}
	}
}

func main() {
	var out told
	ctx := context.Background()
	provider := sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithBatcher(forget{}, sdk.WithMaxQueueSize(queue)))
	out.measure("span", work{do: spans(provider.Tracer("bench")), ops: ops, between: func() {
		if err := provider.ForceFlush(ctx); err != nil {
			panic(err)
		}
	}})
	if err := provider.Shutdown(ctx); err != nil {
		panic(err)
	}
	off := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))
	out.measure("not_sampled", work{do: spans(off.Tracer("bench")), ops: ops})
	none := trace.NewNoopTracerProvider()
	out.measure("no_tracer", work{do: spans(none.Tracer("bench")), ops: ops})
	out.print()
}
