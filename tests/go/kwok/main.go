// Copyright (c) 2026 frugal.cloud contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Program kwok-objects writes objects that kwok's module holds and its program does not: kwok takes them
// by --config. "stages": nodes and pods become ready at once; "usage": what a pod uses of CPU and memory is
// what its annotations kwok.x-k8s.io/usage-cpu and usage-memory say.
package main

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/kwok/kustomize/metrics/resource"
	"sigs.k8s.io/kwok/kustomize/metrics/usage"
	node "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	pod "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
)

var objects = map[string][]string{
	"stages": {node.DefaultNodeInit, pod.DefaultPodReady, pod.DefaultPodComplete, pod.DefaultPodDelete},
	"usage":  {usage.DefaultUsageFromAnnotation, resource.DefaultMetricsResource},
}

func main() {
	if len(os.Args) != 2 || objects[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kwok-objects stages|usage")
		os.Exit(2)
	}
	fmt.Println(strings.Join(objects[os.Args[1]], "\n---\n"))
}
