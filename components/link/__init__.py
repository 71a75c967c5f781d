"""The private link between an on-prem site and an AWS site."""
