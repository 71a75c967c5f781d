// The reference registry of the OCI distribution specification, with the parts that our tests use: content in a
// folder, and the two ways to ask who calls. Its own program also brings the clients of every cloud's storage.
package main

import (
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	_ = registry.RootCmd.Execute()
}
