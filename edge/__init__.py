"""The edge: gateway, sidecar, translator, sealer and review service, all started by `python -m edge --config FILE`.

The gateway is the only entry to the models of a class: it identifies the caller and the caller's workload. The
sidecar terminates mutual TLS in the pod of a model server that listens on loopback. The translator converts OpenAI
requests into Bedrock or SageMaker calls, for classes that may use AWS. The sealer copies the gateways' audit
records into a write-once store. In the review service, people decide on answers that the gateways hold. Nothing
here imports the rest of the project, because the image contains only this folder.
"""
