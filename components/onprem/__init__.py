"""Components of an on-prem Kubernetes site."""
