"""What it takes to pull an image from Amazon ECR."""

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
"""On a repository; `ecr:GetAuthorizationToken`, which knows no resource, comes beside it."""
