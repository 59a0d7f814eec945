// SPDX-License-Identifier: MIT
//
// What an API server of Kubernetes does with what `kubectl apply -k FOLDER` would send it: the
// kustomization is applied, each object is read strictly, gets its defaults, is validated, and a pod is
// held against the level `restricted` of the Pod Security Standards. ../../deploy_peers.py builds it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	security "k8s.io/pod-security-admission/api"
	securitychecks "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// What is wrong with an object: errors, and what kubectl would show as warnings.
func validate(object runtime.Object) (wrong []string) {
	var errors field.ErrorList
	switch one := object.(type) {
	case *apps.Deployment:
		template := &one.Spec.Template
		options := podutil.GetValidationOptionsFromPodTemplate(template, nil)
		errors = appsvalidation.ValidateDeployment(one, options)
		wrong = podutil.GetWarningsForPodTemplate(context.Background(), field.NewPath("spec", "template"),
			template, nil)
	case *core.Service:
		errors = corevalidation.ValidateServiceCreate(one)
	case *policy.PodDisruptionBudget:
		errors = policyvalidation.ValidatePodDisruptionBudget(one,
			policyvalidation.PodDisruptionBudgetValidationOptions{})
	default:
		return []string{"a kind that is not looked at"}
	}
	for _, one := range errors {
		wrong = append(wrong, one.Error())
	}
	return wrong
}

// What a namespace that enforces `restricted` has against the pods.
func restricted(deployment *appsv1.Deployment) (wrong []string) {
	evaluator, err := securitychecks.NewEvaluator(securitychecks.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	level := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	template := &deployment.Spec.Template
	for _, one := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
		if !one.Allowed {
			wrong = append(wrong, one.ForbiddenReason+": "+one.ForbiddenDetail)
		}
	}
	return wrong
}

func check(text []byte) (name string, wrong []string) {
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	object, kind, err := strict.Decode(text, nil, nil)
	if err != nil {
		return "", []string{err.Error()}
	}
	about, err := meta.Accessor(object)
	if err != nil {
		return "", []string{err.Error()}
	}
	about.SetNamespace("default") // where kubectl is not told of another
	if deployment, is := object.(*appsv1.Deployment); is {
		wrong = restricted(deployment)
	}
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return "", []string{err.Error()}
	}
	return kind.Kind + " " + about.GetName(), append(wrong, validate(internal)...)
}

func main() {
	log.SetFlags(0)
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	resources, err := kustomizer.Run(filesys.MakeFsOnDisk(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			log.Fatal(err)
		}
		name, wrong := check(text)
		fmt.Println(name)
		for _, one := range wrong {
			log.Println(one)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}
