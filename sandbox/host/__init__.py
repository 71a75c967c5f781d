"""The Python language host: what the engine starts to run programs, policy packs and component packages.

The official `pulumi-language-python` is in a Go module that the module proxy does not serve; this one speaks
the same protocol (`pulumirpc.LanguageRuntime`). `isthmus sandbox install` puts it in place only where no
official one is found.
"""
