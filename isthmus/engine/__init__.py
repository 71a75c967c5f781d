"""Drive Pulumi, and render without it."""
