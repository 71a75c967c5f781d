// Pulumi's Kubernetes provider, served from its module.
//
// The module's own main package embeds generated files that are not part of it. Of the schema, the engine needs the
// name and version; the resource types are described by the Python SDK that the program uses.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// version is what the Python package pulumi-kubernetes asks the engine for; a plugin on PATH must not be older.
const version = "4.34.2"

func main() {
	provider.Serve("kubernetes", version, []byte(`{"name":"kubernetes","version":"`+version+`"}`), []byte(`{}`))
}
