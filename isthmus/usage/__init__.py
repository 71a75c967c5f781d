"""What a stack used: by team, workload, model and day, by closed month, and compared with bills and its plan."""
