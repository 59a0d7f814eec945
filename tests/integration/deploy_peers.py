# SPDX-License-Identifier: MIT
"""Readers of the files in deploy/, of what others publish: made of Go modules in build/peers.

    python3 deploy_peers.py        makes them; what is lacking, where one cannot be made

Only ./dev interop does so. deploy_peers/NAME/main.go says what each of them looks at.
"""
import os
import sys

from goprogram import GoProgram, Unavailable
from support import SOURCE_DIR

FOLDER = os.path.join(SOURCE_DIR, "tests", "integration", "deploy_peers")
KUBERNETES, STAGING = "v1.36.3", "v0.36.3"
# The module of Kubernetes names these without a version, for it has them in its own tree.
STAGED = ("api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap "
          "code-generator component-base component-helpers controller-manager cri-api cri-client cri-streaming "
          "csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator "
          "kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils "
          "pod-security-admission sample-apiserver streaming").split()
MODULES = {
    "kubernetes": {"k8s.io/kubernetes": KUBERNETES, "sigs.k8s.io/kustomize/api": "v0.21.1",
                   "sigs.k8s.io/kustomize/kyaml": "v0.21.1", **{"k8s.io/" + name: STAGING for name in STAGED}},
    "nomad": {"github.com/hashicorp/hcl/v2": "v2.20.2-nomad-1",
              "github.com/hashicorp/nomad/api": "v0.0.0-20261016150620-df630b26e78a"},
    "consul": {"github.com/hashicorp/consul/api": "v1.34.5"},
    "envoy": {"github.com/envoyproxy/go-control-plane/envoy": "v1.40.0", "google.golang.org/protobuf": "v1.36.12",
              "sigs.k8s.io/yaml": "v1.6.0"},
    "grafana": {"github.com/grafana/grafana-foundation-sdk/go": "v0.0.22"},
}
PEERS = {name: GoProgram("peers/" + name, os.path.join(FOLDER, name, "main.go"), modules)
         for name, modules in MODULES.items()}


def main():
    for name, peer in PEERS.items():
        try:
            peer.make()
        except Unavailable as error:
            print(f"{name}: not run: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
