"""What a stack's resource graph shows: data paths, IAM permissions, workloads and network reachability.

It reads only the rendered resources, whoever wrote them. Policies and reports use it.
"""
