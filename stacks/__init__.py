"""The Pulumi program of every stack, and the files of each stack: settings, requirements and plan."""
