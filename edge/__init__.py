"""The edge: gateway, sidecar, translator, sealer and reviews, one image entry point (`python -m edge --config FILE`).

The gateway is the one door of a class: it knows the callers, and each caller's one workload. The
sidecar ends mutual TLS beside a model server that listens on loopback. The translator turns the
OpenAI protocol into Bedrock's, for the classes that may use AWS. The sealer takes the gateways'
records to a write-once store. At reviews people decide upon answers that the gateways hold. Nothing
here imports the rest of the project: the image holds this folder alone.
"""
