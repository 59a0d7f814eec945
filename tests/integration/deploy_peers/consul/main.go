// SPDX-License-Identifier: MIT
//
// Reads the definition of a service into the structs of Consul's API, as `consul services register` does
// before it sends it to an agent. Names are written with underscores, and `id` of a check is its CheckID;
// nothing else may be unknown. ../../deploy_peers.py builds it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// The names of the API: HTTP is http, FailuresBeforeCritical is failures_before_critical.
func rename(value any, within string) any {
	switch value := value.(type) {
	case map[string]any:
		renamed := map[string]any{}
		for key, inner := range value {
			name := strings.ReplaceAll(key, "_", "")
			if within == "checks" && key == "id" {
				name = "CheckID"
			}
			renamed[name] = rename(inner, key)
		}
		return renamed
	case []any:
		for i := range value {
			value[i] = rename(value[i], within)
		}
	}
	return value
}

func read(path string) (service api.AgentServiceRegistration, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return service, err
	}
	var whole any
	if err = json.Unmarshal(text, &whole); err != nil {
		return service, err
	}
	renamed, err := json.Marshal(rename(whole, ""))
	if err != nil {
		return service, err
	}
	strict := json.NewDecoder(bytes.NewReader(renamed))
	strict.DisallowUnknownFields()
	into := struct{ Service *api.AgentServiceRegistration }{&service}
	return service, strict.Decode(&into)
}

// What an agent asks of a check by HTTP.
func check(one *api.AgentServiceCheck) error {
	for _, span := range []string{one.Interval, one.Timeout} {
		if took, err := time.ParseDuration(span); err != nil || took <= 0 {
			return fmt.Errorf("check %q: no duration: %q", one.Name, span)
		}
	}
	if address, err := url.Parse(one.HTTP); err != nil || address.Host == "" {
		return fmt.Errorf("check %q: no URL: %q", one.Name, one.HTTP)
	}
	return nil
}

func main() {
	log.SetFlags(0)
	service, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for _, one := range service.Checks {
		if err := check(one); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%s: port %d, %d checks\n", service.Name, service.Port, len(service.Checks))
}
