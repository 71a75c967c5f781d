"""Dashboards for Grafana: what each shows, and the ConfigMaps from which Grafana's sidecar takes them."""
