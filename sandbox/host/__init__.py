"""Pulumi's Python language host: the engine starts it to run programs, policy packs and component packages.

The Go module proxy does not serve the official `pulumi-language-python`. This host implements the same protocol
(`pulumirpc.LanguageRuntime`). `isthmus sandbox install` installs it only if no official host is found.
"""
