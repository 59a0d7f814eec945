// SPDX-License-Identifier: MIT
//
// Reads a job by Nomad's decoder of HCL into the structs of Nomad's API, gives it its defaults, and
// prints some of what came of it as JSON. Nothing may be unknown. What the driver docker may be told is
// no part of the API: its names, as far as the job uses them, stand here. ../../deploy_peers.py builds it.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/nomad/api"
	"github.com/zclconf/go-cty/cty"
)

type docker struct {
	Image          string   `hcl:"image"`
	Args           []string `hcl:"args,optional"`
	Ports          []string `hcl:"ports,optional"`
	CapDrop        []string `hcl:"cap_drop,optional"`
	SecurityOpt    []string `hcl:"security_opt,optional"`
	ReadonlyRootfs bool     `hcl:"readonly_rootfs,optional"`
	Mounts         []mount  `hcl:"mount,block"`
}

type mount struct {
	Type    string `hcl:"type,optional"`
	Target  string `hcl:"target"`
	Options *struct {
		Size int64 `hcl:"size,optional"`
		Mode int   `hcl:"mode,optional"`
	} `hcl:"tmpfs_options,block"`
}

// In the API a task's `config` is a map of anything; here it is what a driver makes of it.
type task struct {
	Driver docker   `hcl:"config,block"`
	Rest   hcl.Body `hcl:",remain"`
}

type file struct {
	Job struct {
		Label string   `hcl:",label"`
		Rest  hcl.Body `hcl:",remain"`
	} `hcl:"job,block"`
}

var decoder gohcl.Decoder

func duration(expression hcl.Expression, context *hcl.EvalContext, into any) hcl.Diagnostics {
	value, wrong := expression.Value(context)
	if wrong.HasErrors() {
		return wrong
	}
	var span time.Duration
	err := fmt.Errorf("it is no string")
	if value.Type() == cty.String {
		span, err = time.ParseDuration(value.AsString())
	}
	if err != nil {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "No duration", Detail: err.Error(),
			Subject: expression.Range().Ptr()}}
	}
	switch into := into.(type) {
	case *time.Duration:
		*into = span
	case **time.Duration:
		*into = &span
	}
	return nil
}

func decodeTask(body hcl.Body, context *hcl.EvalContext, into any) hcl.Diagnostics {
	var own task
	wrong := decoder.DecodeBody(body, context, &own)
	if wrong.HasErrors() {
		return wrong
	}
	type plain api.Task // the same without this decoder
	return decoder.DecodeBody(own.Rest, context, (*plain)(into.(*api.Task)))
}

func main() {
	log.SetFlags(0)
	decoder.RegisterExpressionDecoder(reflect.TypeFor[time.Duration](), duration)
	decoder.RegisterExpressionDecoder(reflect.TypeFor[*time.Duration](), duration)
	decoder.RegisterBlockDecoder(reflect.TypeFor[api.Task](), decodeTask)
	parsed, wrong := hclparse.NewParser().ParseHCLFile(os.Args[1])
	if wrong.HasErrors() {
		log.Fatal(wrong)
	}
	var whole file
	if wrong := decoder.DecodeBody(parsed.Body, nil, &whole); wrong.HasErrors() {
		log.Fatal(wrong)
	}
	var job api.Job
	if wrong := decoder.DecodeBody(whole.Job.Rest, nil, &job); wrong.HasErrors() {
		log.Fatal(wrong)
	}
	job.ID, job.Name = &whole.Job.Label, &whole.Job.Label
	job.Canonicalize()
	if err := json.NewEncoder(os.Stdout).Encode(job); err != nil {
		log.Fatal(err)
	}
}
