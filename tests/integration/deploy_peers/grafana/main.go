// SPDX-License-Identifier: MIT
//
// Reads a dashboard by the types that Grafana publishes, those of its panels and of Prometheus' queries
// among them: nothing may be unknown, nothing that is required may be missing. ../../deploy_peers.py
// builds it.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	log.SetFlags(0)
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var board dashboard.Dashboard
	wrong := errors.Join(board.UnmarshalJSONStrict(text), board.Validate())
	if wrong != nil && strings.TrimSpace(wrong.Error()) != "" { // it may answer a list of no errors
		log.Fatal(wrong)
	}
	fmt.Printf("%s: %d panels, %d variables\n", *board.Title, len(board.Panels), len(board.Templating.List))
}
