"""What there is in a cluster and in AWS, asked of them and not of the state, to be held against the state."""
