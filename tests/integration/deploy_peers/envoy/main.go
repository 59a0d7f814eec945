// SPDX-License-Identifier: MIT
//
// Reads a bootstrap of Envoy as Envoy does: YAML to JSON to the messages of its API, where nothing may be
// unknown, and each message, those in an Any too, keeps the rules that come with it. Deprecated fields
// are refused. ../../deploy_peers.py builds it.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/types/descriptorpb"
	"sigs.k8s.io/yaml"
)

func read(path string) (*bootstrap.Bootstrap, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var config bootstrap.Bootstrap
	return &config, protojson.Unmarshal(json, &config) // which resolves each Any, or fails
}

// One step into a message: what is there, and how one came to it.
func look(at protopath.Values) error {
	last := at.Index(-1)
	if last.Step.Kind() == protopath.FieldAccessStep {
		options, _ := last.Step.FieldDescriptor().Options().(*descriptorpb.FieldOptions)
		if options.GetDeprecated() {
			return fmt.Errorf("%s is deprecated", last.Step.FieldDescriptor().FullName())
		}
	}
	if kind := last.Step.Kind(); kind != protopath.RootStep && kind != protopath.AnyExpandStep {
		return nil // it is looked at with what it is in
	}
	if rules, has := last.Value.Message().Interface().(interface{ ValidateAll() error }); has {
		return rules.ValidateAll()
	}
	return nil
}

func main() {
	log.SetFlags(0)
	config, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var wrong []error
	_ = protorange.Range(config.ProtoReflect(), func(at protopath.Values) error {
		if err := look(at); err != nil {
			wrong = append(wrong, err)
		}
		return nil
	})
	if len(wrong) > 0 {
		log.Fatal(errors.Join(wrong...))
	}
	static := config.GetStaticResources()
	fmt.Printf("%d listeners, %d clusters\n", len(static.GetListeners()), len(static.GetClusters()))
}
