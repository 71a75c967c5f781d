"""Components of an AWS site."""
